//! What ends a run whose supervisor panics.

use std::{sync::Arc, thread};

use super::poster::Poster;
use crate::engine::stop::Stop;

/// Stops the run if its thread unwinds while this lives: `begin` would wait for ever.
///
/// Workers need no such guard: each is killed when the supervisor that has started it is dropped.
pub(super) struct StopOnPanic {
    pub(super) stop: Arc<Stop>,
    pub(super) poster: Arc<Poster>,
}

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.poster.fail("the thread that serves the worker processes has panicked");
            self.stop.drain();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        time::Duration,
    };

    use super::*;
    use crate::{
        Order,
        broker::{Batch, Broker, MemoryBroker, Tasks, Token},
        failure::TaskResult,
        handler::{Context, ParallelTaskRunner},
        payload::Payload,
        process::{
            poll, supervise,
            supervisor::{Plan, Supervisor},
        },
        settings::Settings,
        task::Task,
    };

    /// Waits for the lock, which is never free.
    struct Waits;

    impl ParallelTaskRunner for Waits {
        type Task = Task<()>;

        fn begin(&self, cx: &mut Context<'_, Task<()>>) -> TaskResult {
            drop(cx.lock());
            unreachable!("another one has the lock");
        }

        fn run(&self, _: &Task<()>, _: &mut Context<'_, Task<()>>) -> TaskResult {
            unreachable!("there are no workers");
        }
    }

    #[test]
    fn a_panic_of_the_supervisor_ends_begin_and_is_passed_on() {
        let lease = Duration::from_secs(3600);
        let settings = Settings::of_a_test(lease);
        let batch = Batch { tasks: Tasks::one(b"a"), ..Batch::default() };
        let broker =
            MemoryBroker::new(lease, Order::Lifo, vec![batch.clone(), batch, Batch::default()]);
        let broker: Arc<dyn Broker> = Arc::new(broker);
        let [own, other] = [Token(1), Token(2)];
        broker.step(None, &[own, other]).expect("memory does not fail");
        broker.lock(other).expect("memory does not fail");
        let (waker, woken) = poll::waker().expect("a pair of sockets");
        let poster = Poster::new(Arc::clone(&broker), own, Arc::new(waker), Payload::new(u64::MAX));
        let stop = Arc::new(Stop::new());
        let plan = Plan { settings, first_words: Box::new(|_| panic!("no words")) };
        let clock = Arc::default();
        let supervisor =
            Supervisor::new(plan, broker, Arc::clone(&poster), Arc::clone(&stop), woken, clock);
        let run = || supervise(supervisor, &poster, &Waits, &stop).map(|_| ());
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it is passed on");
        assert_eq!(panic.downcast_ref(), Some(&"no words"));
        assert!(!stop.is_going());
    }
}
