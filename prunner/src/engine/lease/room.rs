//! What the workers of a process share: leases are worked on side by side, that of a suspect alone. If the
//! process dies of it, nothing else was running there that could have been the cause, or the victim.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Who works in a process.
#[derive(Debug, Default)]
pub(crate) struct Room {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    beside_others: usize,
    alone: bool,
    /// How many wait to be alone: nothing more may come in before them.
    waiting: usize,
}

/// How a lease is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    BesideOthers,
}

/// The stay of one worker in the room.
#[derive(Debug)]
pub(super) struct Stay<'a> {
    room: &'a Room,
    company: Company,
}

impl Room {
    /// Waits for room and goes in. `None` if a worker elsewhere could start at once: when it is
    /// `wanted_back`, and this has waited for `patience`; or when the run `is_ending`.
    pub(super) fn enter(
        &self,
        company: Company,
        patience: Duration,
        wanted_back: impl Fn() -> bool,
        is_ending: impl Fn() -> bool,
    ) -> Option<Stay<'_>> {
        let mut inside = self.inside.lock();
        let alone = company == Company::Alone;
        inside.waiting += usize::from(alone);
        let since = Instant::now();
        let free = loop {
            let free = match company {
                Company::Alone => !inside.alone && inside.beside_others == 0,
                Company::BesideOthers => !inside.alone && inside.waiting == 0,
            };
            if free {
                break true;
            }
            let left = patience.saturating_sub(since.elapsed());
            if is_ending() || (wanted_back() && left.is_zero()) {
                break false;
            }
            match wanted_back() {
                true => _ = self.changed.wait_for(&mut inside, left),
                // Whoever wants it back says so here.
                false => self.changed.wait(&mut inside),
            }
        };
        inside.waiting -= usize::from(alone);
        if !free {
            // The others may have waited for this one alone.
            self.changed.notify_all();
            return None;
        }
        match company {
            Company::Alone => inside.alone = true,
            Company::BesideOthers => inside.beside_others += 1,
        }
        drop(inside);
        Some(Stay { room: self, company })
    }

    /// Makes those who wait look again at what they wait for.
    pub(super) fn look_again(&self) {
        // Under the lock: who has just looked waits by now.
        let _inside = self.inside.lock();
        self.changed.notify_all();
    }
}

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        let mut inside = self.room.inside.lock();
        match self.company {
            Company::Alone => inside.alone = false,
            Company::BesideOthers => inside.beside_others -= 1,
        }
        if inside.waiting > 0 || self.company == Company::Alone {
            self.room.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    const FOR_EVER: Duration = Duration::MAX;

    fn enter(room: &Room, company: Company) -> Option<Stay<'_>> {
        room.enter(company, FOR_EVER, || false, || false)
    }

    #[test]
    fn one_who_must_be_alone_waits_for_all_others_and_they_for_it() {
        let room = Room::default();
        let (entered, log) = mpsc::channel();
        let others = [(); 2].map(|()| enter(&room, Company::BesideOthers).unwrap());
        thread::scope(|scope| {
            let (room, alone) = (&room, entered.clone());
            scope.spawn(move || {
                let _stay = enter(room, Company::Alone);
                alone.send("alone").unwrap();
            });
            while room.inside.lock().waiting == 0 {
                thread::yield_now();
            }
            scope.spawn(move || {
                let _stay = enter(room, Company::BesideOthers);
                entered.send("beside others").unwrap();
            });
            assert_eq!(log.try_recv(), Err(mpsc::TryRecvError::Empty));
            drop(others);
            assert_eq!(log.recv(), Ok("alone"));
            assert_eq!(log.recv(), Ok("beside others"));
        });
    }

    #[test]
    fn one_who_waits_gives_up_when_it_is_wanted_back_and_at_the_end() {
        let room = Room::default();
        let first = enter(&room, Company::BesideOthers);
        let none = room.enter(Company::Alone, Duration::ZERO, || true, || false);
        assert!(none.is_none());
        assert!(room.enter(Company::Alone, FOR_EVER, || false, || true).is_none());
        // They do not hold up those who come later.
        assert!(enter(&room, Company::BesideOthers).is_some());
        drop(first);
        assert!(room.enter(Company::Alone, Duration::ZERO, || true, || true).is_some());
    }

    #[test]
    fn what_is_wanted_back_later_is_noticed() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let (room, wanted) = (Room::default(), AtomicBool::new(false));
        let _first = enter(&room, Company::Alone);
        thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let wanted_back = || wanted.load(Ordering::Relaxed);
                room.enter(Company::BesideOthers, Duration::ZERO, wanted_back, || false).is_none()
            });
            wanted.store(true, Ordering::Relaxed);
            room.look_again();
            assert!(waits.join().unwrap());
        });
    }
}
