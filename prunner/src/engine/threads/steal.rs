//! What a worker does to take tasks of others while it searches.

use std::time::Instant;

use super::{epochs::Epochs, parking::Sleepers, search::Ground, worker::Worker};
use crate::{engine::stop::Stop, handler::ParallelTaskRunner, queue::Queue, sync::Barrier};

impl<R: ParallelTaskRunner, Q: Queue<R::Task>> Ground for Worker<'_, '_, R, Q> {
    const BARRIER: Barrier = Q::BARRIER;

    fn me(&self) -> usize {
        self.post_office.me
    }

    fn stop(&self) -> &Stop {
        &self.post_office.shared.stop
    }

    fn epochs(&self) -> &Epochs {
        &self.post_office.shared.epochs
    }

    fn sleepers(&self) -> &Sleepers {
        &self.post_office.shared.sleepers
    }

    fn anybody_shows_work(&self) -> bool {
        self.post_office.shared.anybody_shows_work()
    }

    fn others_show_work(&self) -> bool {
        self.post_office.shared.others_show_work(self.post_office.me)
    }

    fn wake_one(&mut self) {
        self.post_office.wake_one();
    }

    /// Takes the oldest half of another's tasks.
    fn steal(&mut self) -> bool {
        let (shared, me) = (self.post_office.shared, self.post_office.me);
        self.throttle.turn = self.throttle.turn.wrapping_add(1);
        let throttle = &self.throttle;
        let mut victims = shared
            .victims(me, throttle.turn)
            .filter(|&victim| shared.shows_work(victim) && throttle.allows(victim))
            .peekable();
        if victims.peek().is_none() {
            return false;
        }
        shared.epochs.set_busy(me);
        let (queue, posts) = (&mut self.post_office.queue, &mut self.effects.posts);
        let hand = &mut self.hand;
        let robbed = victims.find(|&victim| {
            if let Some(stealer) = shared.stealer(victim) {
                queue.steal_from(stealer, posts, hand);
            }
            hand.is_some()
        });
        match robbed {
            Some(victim) => self.throttle.last = Some((victim, Instant::now())),
            None => shared.epochs.set_idle(me),
        }
        robbed.is_some()
    }
}
