//! The models of the engines' protocols hold, and their wrong twins fail.
//!
//! Every test prints how many states it has visited (`--nocapture`). `PRUNNER_MODEL_LARGE=1` makes
//! the sound models larger, for some minutes and some gigabytes. How to read what a failing test
//! prints is explained in `prunner_models`.

use std::fmt::Debug;

use prunner_models::checker::{Exploration, Fault, Model, explore};

#[path = "../../prunner/src/testing/watchdog/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of other crates use more of it")]
mod watchdog;

watched!();

/// The size of a sound model: larger when `PRUNNER_MODEL_LARGE=1`.
fn size<T>(normal: T, large: T) -> T {
    match std::env::var("PRUNNER_MODEL_LARGE") {
        Ok(value) if value == "1" => large,
        _ => normal,
    }
}

fn explored<M: Model + Debug>(model: &M) -> Exploration {
    let exploration = explore(model);
    let verdict = match &exploration.counterexample {
        Some(found) => found.to_string(),
        None => "holds".to_owned(),
    };
    println!("{} actors, {model:?}: {} states, {verdict}", model.actors(), exploration.states);
    exploration
}

#[track_caller]
fn holds<M: Model + Debug>(model: M) {
    let exploration = explored(&model);
    assert!(exploration.counterexample.is_none(), "{model:?} fails, as printed above");
}

/// The wrong twin fails like this, and not in fewer steps. (A model that has been changed may have
/// another number: read the counterexample, and if it is still the known one, note its number.)
#[track_caller]
fn fails<M: Model + Debug>(model: M, fault: Fault, steps: usize) {
    let exploration = explored(&model);
    let found = exploration.counterexample.expect("a wrong twin fails");
    let known = "whether the counterexample printed above is the known one";
    assert_eq!((found.fault, found.steps.len()), (fault, steps), "{known}");
}

/// The threads find the end, and not too early.
mod end_rule {
    use super::{Fault, fails, holds, size};
    use prunner_models::end_rule::{Crew, EndRule, Queues, Variant};

    const EARLY: Fault = Fault::Violation("the end was declared while a task was unfinished");

    fn twin<const WORKERS: usize>(variant: Variant, budget: u8) -> EndRule<WORKERS> {
        EndRule { variant, ..EndRule::new(budget) }
    }

    fn shared<const WORKERS: usize>(variant: Variant, budget: u8) -> EndRule<WORKERS> {
        EndRule { variant, queues: Queues::Shared, ..EndRule::new(budget) }
    }

    #[test]
    fn holds_for_two_workers() {
        holds(EndRule::<2>::new(size(8, 12)));
    }

    #[test]
    fn holds_for_three_workers() {
        holds(EndRule::<3>::new(size(2, 4)));
    }

    #[test]
    fn holds_for_lazy_workers() {
        holds(EndRule::<3> { crew: Crew::Lazy, ..EndRule::new(size(3, 4)) });
    }

    #[test]
    fn holds_with_an_outside_poster() {
        holds(EndRule::<3> { crew: Crew::WithOutsider, ..EndRule::new(size(4, 6)) });
    }

    #[test]
    fn holds_for_a_shared_queue() {
        holds(shared::<2>(Variant::Epochs, size(6, 8)));
        holds(shared::<3>(Variant::Epochs, size(1, 3)));
    }

    #[test]
    fn twin_busy_after_take_ends_early() {
        fails(twin::<2>(Variant::BusyAfterTake, 3), EARLY, 14);
        fails(twin::<3>(Variant::BusyAfterTake, 1), EARLY, 20);
        fails(shared::<2>(Variant::BusyAfterTake, 3), EARLY, 13);
    }

    #[test]
    fn twin_one_scan_ends_early() {
        fails(twin::<3>(Variant::OneScan, 1), EARLY, 25);
        fails(shared::<2>(Variant::OneScan, 3), EARLY, 19);
    }

    #[test]
    fn one_scan_passes_a_model_of_two_workers() {
        holds(twin::<2>(Variant::OneScan, 8));
    }

    #[test]
    fn twin_boolean_flags_ends_early() {
        fails(twin::<3>(Variant::BooleanFlags, 3), EARLY, 42);
        fails(shared::<2>(Variant::BooleanFlags, 3), EARLY, 25);
    }

    #[test]
    fn boolean_flags_pass_a_model_of_two_posts() {
        holds(twin::<3>(Variant::BooleanFlags, 2));
    }

    #[test]
    fn twin_unread_queues_ends_early_unless_workers_own_them() {
        let outsider = EndRule { crew: Crew::WithOutsider, ..twin::<3>(Variant::QueuesUnread, 2) };
        fails(outsider, EARLY, 17);
        fails(shared::<2>(Variant::QueuesUnread, 3), EARLY, 17);
        holds(twin::<2>(Variant::QueuesUnread, 8));
        holds(twin::<3>(Variant::QueuesUnread, 1));
    }
}

/// The counts prove the end.
mod ledger {
    use super::{Fault, fails, holds, size};
    use prunner_models::ledger::{Ledger, Variant};

    const EARLY: Fault = Fault::Violation("the sums were equal while a task was unfinished");

    #[test]
    fn holds_when_finished_is_read_first() {
        let variant = Variant::FinishedFirst;
        holds(Ledger::<2> { variant, budget: size(5, 8) });
        holds(Ledger::<3> { variant, budget: size(2, 4) });
    }

    #[test]
    fn twin_posted_first_ends_early() {
        fails(Ledger::<2> { variant: Variant::PostedFirst, budget: 3 }, EARLY, 9);
    }

    #[test]
    fn twin_counted_after_push_ends_early() {
        fails(Ledger::<2> { variant: Variant::CountedAfterPush, budget: 3 }, EARLY, 9);
    }
}

/// Somebody declares the end before all sleep.
mod last_look {
    use super::{Fault, fails, holds, size};
    use prunner_models::last_look::{LastLook, Variant};

    #[test]
    fn holds_when_workers_scan_registered() {
        let variant = Variant::ScanRegistered;
        holds(LastLook::<2> { variant, disturbances: size(4, 6) });
        holds(LastLook::<3> { variant, disturbances: size(2, 4) });
    }

    #[test]
    fn twin_scan_while_buffered_sleeps_for_ever() {
        let variant = Variant::ScanWhileBuffered;
        fails(LastLook::<2> { variant, disturbances: 0 }, Fault::Deadlock, 9);
    }

    #[test]
    fn twin_scan_once_sleeps_for_ever() {
        let variant = Variant::ScanOnce;
        fails(LastLook::<2> { variant, disturbances: 2 }, Fault::Deadlock, 17);
    }
}

/// Never two at one queue.
mod biased_lock {
    use super::{Fault, fails, holds, size};
    use prunner_models::biased_lock::{BiasedLock, Variant};

    const TWO_INSIDE: Fault = Fault::Violation("two threads are inside");

    fn lock<const THREADS: usize>(variant: Variant, rounds: u8) -> BiasedLock<THREADS> {
        let (owner_rounds, thief_rounds) = (rounds, rounds);
        BiasedLock { variant, owner_rounds, thief_rounds, patient: false, lends: false }
    }

    fn lent<const THREADS: usize>(variant: Variant, rounds: u8) -> BiasedLock<THREADS> {
        BiasedLock { lends: true, ..lock(variant, rounds) }
    }

    fn patient<const THREADS: usize>(variant: Variant, rounds: u8) -> BiasedLock<THREADS> {
        BiasedLock { patient: true, ..lock(variant, rounds) }
    }

    #[test]
    fn holds_for_one_thief() {
        holds(lock::<2>(Variant::Membarrier, 3));
        holds(patient::<2>(Variant::Membarrier, 3));
    }

    #[test]
    fn holds_for_two_thieves() {
        holds(lock::<3>(Variant::Membarrier, size(2, 3)));
        holds(patient::<3>(Variant::Membarrier, size(2, 3)));
    }

    #[test]
    fn holds_for_three_thieves() {
        holds(lock::<4>(Variant::Membarrier, size(1, 2)));
    }

    #[test]
    fn holds_with_fences_on_both_sides() {
        holds(lock::<2>(Variant::Fences, 3));
        holds(lock::<3>(Variant::Fences, size(2, 3)));
        holds(patient::<3>(Variant::Fences, size(2, 3)));
    }

    #[test]
    fn holds_when_the_owner_lends_it() {
        holds(lent::<2>(Variant::Membarrier, 3));
        holds(lent::<3>(Variant::Membarrier, size(2, 3)));
        holds(BiasedLock { patient: true, ..lent::<3>(Variant::Membarrier, size(2, 3)) });
        holds(lent::<4>(Variant::Membarrier, size(1, 2)));
        holds(lent::<3>(Variant::Fences, size(2, 3)));
    }

    #[test]
    fn twin_without_taking_back_lets_two_in() {
        fails(lent::<2>(Variant::NoTakingBack, 1), TWO_INSIDE, 7);
    }

    #[test]
    fn twin_plain_taking_back_lets_two_in() {
        fails(lent::<2>(Variant::PlainTakingBack, 1), TWO_INSIDE, 7);
    }

    #[test]
    fn twin_old_loan_lets_two_in() {
        holds(lent::<2>(Variant::OldLoan, 1));
        fails(lent::<2>(Variant::OldLoan, 2), TWO_INSIDE, 15);
    }

    #[test]
    fn twin_without_barrier_lets_two_in() {
        fails(lock::<2>(Variant::NoBarrier, 1), TWO_INSIDE, 5);
    }

    #[test]
    fn twin_plain_claim_lets_two_thieves_in() {
        holds(lock::<2>(Variant::PlainClaim, 2));
        fails(lock::<3>(Variant::PlainClaim, 1), TWO_INSIDE, 12);
    }

    #[test]
    fn twin_without_second_look_lets_two_in() {
        holds(lock::<2>(Variant::NoSecondLook, 1));
        fails(lock::<2>(Variant::NoSecondLook, 2), TWO_INSIDE, 16);
    }

    #[test]
    fn twin_look_before_own_lets_two_in() {
        fails(lock::<2>(Variant::LookBeforeOwn, 1), TWO_INSIDE, 6);
    }

    #[test]
    fn twin_relaxed_leave_lets_two_in() {
        fails(lock::<2>(Variant::RelaxedLeave, 1), TWO_INSIDE, 10);
    }
}

/// No task waits while a worker sleeps.
mod park_wake {
    use super::{Fault, fails, holds, size};
    use prunner_models::park_wake::{ParkWake, Variant};

    fn model<const WORKERS: usize>(variant: Variant, budget: u8) -> ParkWake<WORKERS> {
        ParkWake { variant, budget }
    }

    fn holds_for_two_and_three_workers(variant: Variant) {
        holds(model::<2>(variant, size(3, 5)));
        holds(model::<3>(variant, size(2, 3)));
    }

    #[test]
    fn holds_with_membarrier() {
        holds_for_two_and_three_workers(Variant::Membarrier);
    }

    #[test]
    fn holds_with_fences() {
        holds_for_two_and_three_workers(Variant::Fences);
    }

    #[test]
    fn holds_when_searchers_leave_before_they_steal() {
        holds_for_two_and_three_workers(Variant::LeaveBeforeSteal);
    }

    #[test]
    fn holds_when_the_last_searcher_wakes_unseen() {
        holds_for_two_and_three_workers(Variant::HandOverUnseen);
    }

    #[test]
    fn holds_when_a_later_notification_is_awaited() {
        holds_for_two_and_three_workers(Variant::NotifiedLater);
    }

    #[test]
    fn twin_without_second_look_sleeps_on() {
        fails(model::<2>(Variant::NoSecondLook, 2), Fault::Deadlock, 19);
    }

    #[test]
    fn twin_without_barrier_before_park_sleeps_on() {
        fails(model::<2>(Variant::NoBarrierBeforePark, 2), Fault::Deadlock, 22);
    }

    #[test]
    fn twin_without_hand_over_strands_the_second_task() {
        fails(model::<3>(Variant::NoHandOver, 2), Fault::Deadlock, 15);
    }

    #[test]
    fn twin_without_barrier_before_hand_over_strands_the_second_task() {
        holds(model::<2>(Variant::NoBarrierBeforeHandOver, 3));
        fails(model::<3>(Variant::NoBarrierBeforeHandOver, 2), Fault::Deadlock, 20);
    }

    #[test]
    fn twin_word_before_publish_sleeps_on() {
        fails(model::<2>(Variant::WordBeforePublish, 2), Fault::Deadlock, 24);
    }

    #[test]
    fn twin_notification_left_behind_wakes_a_sleeper_uncounted() {
        let uncounted = Fault::Violation("the word does not count those who search");
        fails(model::<2>(Variant::NotificationLeftBehind, 2), uncounted, 47);
    }
}

/// Worker processes leave no task behind a handler that takes for ever.
mod sharing {
    use super::{Fault, fails, holds, size};
    use prunner_models::sharing::{Sharing, Variant};

    fn model<const WORKERS: usize>(
        variant: Variant,
        batches: &'static [u8],
        budget: u8,
    ) -> Sharing<WORKERS> {
        Sharing { variant, batches, budget }
    }

    #[test]
    fn holds_for_two_workers() {
        holds(model::<2>(Variant::LooksAgain, &[2], 1));
        holds(model::<2>(Variant::LooksAgain, &[1, 2], size(0, 2)));
        holds(model::<2>(Variant::LooksAgain, &[1, 1, 1], size(0, 1)));
    }

    #[test]
    fn holds_for_three_workers() {
        holds(model::<3>(Variant::LooksAgain, size(&[2], &[3]), 0));
    }

    #[test]
    fn twin_that_looks_once_leaves_a_task_behind() {
        fails(model::<2>(Variant::LooksOnce, &[2], 0), Fault::Deadlock, 10);
        fails(model::<2>(Variant::LooksOnce, &[1, 1, 1], 0), Fault::Deadlock, 20);
    }

    #[test]
    fn twin_that_waits_for_a_handler_leaves_a_task_behind() {
        fails(model::<2>(Variant::WaitsForAHandler, &[2], 0), Fault::Deadlock, 10);
    }

    #[test]
    fn twin_that_forgets_its_age_leaves_a_task_behind() {
        fails(model::<2>(Variant::ForgetsItsAge, &[1], 1), Fault::Deadlock, 13);
    }

    #[test]
    fn twin_told_for_good_leaves_a_task_behind() {
        holds(model::<2>(Variant::ToldForGood, &[2], 0));
        fails(model::<2>(Variant::ToldForGood, &[2], 1), Fault::Deadlock, 26);
    }
}

/// The machine on which the protocols run is x86.
mod litmus {
    use super::{Fault, fails, holds};
    use prunner_models::litmus::Instruction::{Fence, Load, Membarrier, Store};
    use prunner_models::litmus::{Litmus, X, Y};

    const REACHED: Fault = Fault::Violation("the forbidden outcome");

    /// Each thread stores to its own cell and loads the other's: who overtakes loads 0.
    const BOTH_MISSED: [&[u8]; 2] = [&[0], &[0]];

    #[test]
    fn a_load_overtakes_a_store() {
        let programs: [&[_]; 2] = [&[Store(X), Load(Y)], &[Store(Y), Load(X)]];
        fails(Litmus { programs, forbidden: BOTH_MISSED }, REACHED, 6);
    }

    #[test]
    fn a_fence_on_one_side_is_not_enough() {
        let programs: [&[_]; 2] = [&[Store(X), Load(Y)], &[Store(Y), Fence, Load(X)]];
        fails(Litmus { programs, forbidden: BOTH_MISSED }, REACHED, 7);
    }

    #[test]
    fn fences_on_both_sides_are_enough() {
        let programs: [&[_]; 2] = [&[Store(X), Fence, Load(Y)], &[Store(Y), Fence, Load(X)]];
        holds(Litmus { programs, forbidden: BOTH_MISSED });
    }

    #[test]
    fn membarrier_on_one_side_is_enough() {
        let programs: [&[_]; 2] = [&[Store(X), Load(Y)], &[Store(Y), Membarrier, Load(X)]];
        holds(Litmus { programs, forbidden: BOTH_MISSED });
    }

    #[test]
    fn stores_are_seen_in_order() {
        let programs: [&[_]; 2] = [&[Store(X), Store(Y)], &[Load(Y), Load(X)]];
        holds(Litmus { programs, forbidden: [&[], &[1, 0]] });
    }

    #[test]
    fn a_thread_sees_its_own_stores() {
        let programs: [&[_]; 2] = [&[Store(X), Load(X)], &[]];
        holds(Litmus { programs, forbidden: [&[0], &[]] });
    }
}

/// The checker finds what there is, and nothing else.
mod checker {
    use super::{Fault, Model, explore};
    use prunner_models::checker::Turn;

    /// A walk along given edges by a single actor, who starts at 0. State 9 is bad.
    struct Walk {
        edges: &'static [(u8, u8)],
        finals: &'static [u8],
    }

    impl Model for Walk {
        type State = u8;

        fn initial(&self) -> u8 {
            0
        }

        fn actors(&self) -> usize {
            1
        }

        fn turn(&self, turn: &mut Turn<'_, u8>) {
            let from = *turn.state;
            for &(_, to) in self.edges.iter().filter(|edge| edge.0 == from) {
                turn.step_on("walks to", to.into(), |next| *next = to);
            }
        }

        fn violation(&self, state: &u8) -> Option<&'static str> {
            (*state == 9).then_some("bad")
        }

        fn is_final(&self, state: &u8) -> bool {
            self.finals.contains(state)
        }
    }

    /// The fault of a walk, and where it went on the way to it.
    fn fault(edges: &'static [(u8, u8)], finals: &'static [u8]) -> Option<(Fault, Vec<usize>)> {
        let found = explore(&Walk { edges, finals }).counterexample?;
        let places = found.steps.iter().filter_map(|step| step.object);
        Some((found.fault, places.collect()))
    }

    #[test]
    fn every_state_is_counted_once() {
        let edges = &[(0, 1), (0, 2), (1, 3), (2, 3), (3, 0)];
        let exploration = explore(&Walk { edges, finals: &[3] });
        assert_eq!(exploration.states, 4);
        assert!(exploration.counterexample.is_none());
    }

    #[test]
    fn a_shortest_way_to_a_violation_is_found() {
        let edges = &[(0, 1), (1, 2), (2, 9), (0, 3), (3, 9)];
        assert_eq!(fault(edges, &[]), Some((Fault::Violation("bad"), vec![3, 9])));
    }

    #[test]
    fn a_state_without_steps_is_a_deadlock_unless_it_is_final() {
        assert_eq!(fault(&[(0, 1), (1, 2)], &[1]), None);
        let edges = &[(0, 1), (0, 2)];
        assert_eq!(fault(edges, &[1]), Some((Fault::Deadlock, vec![2])));
    }

    #[test]
    fn a_circle_with_no_way_out_is_a_trap() {
        let edges = &[(0, 1), (0, 2), (2, 3), (3, 2)];
        assert_eq!(fault(edges, &[1]), Some((Fault::Trap, vec![2])));
    }
}
