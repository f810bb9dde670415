//! Random histories find what other cases find, too.

use super::{
    crashes::{in_pieces, suspicious},
    leases::Numbered,
    locks::{HastyLock, LooseLock},
    twist::*,
};

#[test]
fn random_histories_find_them_too() {
    fn fails_by_chance<T: Twist>(twist: impl Fn(Inner) -> T + Send + Sync + 'static) {
        let rule = "each answer of a broker is that of the model";
        fails("random_histories_agree_with_the_model", rule, twist);
    }
    fails_by_chance(Numbered::new);
    fails_by_chance(in_pieces(2));
    fails_by_chance(HastyLock::new);
    fails_by_chance(LooseLock::new);
    fails_by_chance(suspicious);
}
