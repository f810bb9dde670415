//! Suspects run alone in their process: what waits beside them belongs elsewhere.

use super::*;

/// A dispatcher whose first worker has died with these two tasks: both are suspects, and another worker has
/// taken its place.
fn two_suspects() -> Dispatcher {
    let (mut dispatcher, _) = dispatcher(1, &[b"a", b"b"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.wants(0, 1, &[2]);
    dispatcher.is_over();
    dispatcher.close(0, &crash()).expect("memory does not fail");
    dispatcher.open(0, 2);
    dispatcher
}

fn starts_with(dispatcher: &mut Dispatcher, token: u128) {
    dispatcher
        .says(0, ToParent::Suspect { token: Token(token), label: "a task".into(), data: None });
}

fn gives_back(dispatcher: &mut Dispatcher, seat: u16, token: u128) {
    dispatcher.says(0, ToParent::Release { seat, token: Token(token), why: Release::Unstarted });
}

#[test]
fn nothing_is_leased_to_a_process_in_which_a_suspect_runs() {
    let mut dispatcher = two_suspects();
    dispatcher.wants(0, 0, &[3]);
    dispatcher.is_over();
    assert_eq!(leased(&dispatcher.told(0)), [b"a"]);
    starts_with(&mut dispatcher, 3);
    dispatcher.wants(0, 1, &[4]);
    dispatcher.is_over();
    assert_eq!(leased(&dispatcher.told(0)), [] as [Vec<u8>; 0]);
    // Another worker is started for what is queued.
    assert_eq!((dispatcher.idle_seats(), dispatcher.has_idle()), (0, false));
    dispatcher.delivers(0, 0, Commit::new(Token(3)));
    assert_eq!(dispatcher.idle_seats(), 1);
    dispatcher.is_over();
    assert_eq!(leased(&dispatcher.told(0)), [b"b"]);
}

#[test]
fn a_suspect_that_was_given_back_does_not_come_again_where_others_run() {
    for elsewhere in [false, true] {
        let mut dispatcher = two_suspects();
        dispatcher.wants(0, 0, &[3]);
        dispatcher.wants(0, 1, &[4]);
        dispatcher.set_startable(if elsewhere { 2 } else { 0 });
        dispatcher.is_over();
        assert_eq!(leased(&dispatcher.told(0)), [b"a", b"b"]);
        dispatcher.wants(0, 1, &[5]);
        gives_back(&mut dispatcher, 1, 4);
        dispatcher.is_over();
        // With nobody else to take it, it waits there rather than in the queue.
        let expected: &[&[u8]] = if elsewhere { &[] } else { &[b"b"] };
        assert_eq!(leased(&dispatcher.told(0)), expected);
        assert_eq!(dispatcher.idle_seats(), 0);
        dispatcher.delivers(0, 0, Commit::new(Token(3)));
        dispatcher.is_over();
        let expected: &[&[u8]] = if elsewhere { &[b"b"] } else { &[] };
        assert_eq!(leased(&dispatcher.told(0)), expected);
    }
}
