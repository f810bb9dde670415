//! Workers' copies of a dict against a broker that is a map.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize, Serializer};

use super::*;
use crate::{
    Counter, Max, Merge, Sum,
    dict::{Attempts, Merges},
    sync::Barrier,
};

const SUM: Key<Sum<u64>> = Key::new("sum");
const SMALL: Key<Sum<u8>> = Key::new("small");
const TOP: Key<Max<u64>> = Key::new("top");
const SEEN: Key<BTreeSet<u64>> = Key::new("seen");
const WORDS: Key<Counter<u64>> = Key::new("words");
const LOCKED: Key<u64> = Key::new("locked");

/// The broker's side of a dict.
#[derive(Clone, Debug, Default)]
struct Hub(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<String, broker::Entry>,
    holder: Option<usize>,
    pinned: BTreeSet<String>,
    /// How often entries were read, and how often that gave an entry.
    reads: (usize, usize),
    conflicts: usize,
}

impl State {
    fn entry(&self, key: &str) -> broker::Entry {
        let none = || broker::Entry { key: key.to_string(), version: 0, value: None };
        self.entries.get(key).cloned().unwrap_or_else(none)
    }

    fn unlock(&mut self, worker: usize) {
        if self.holder == Some(worker) {
            self.holder = None;
            self.pinned.clear();
        }
    }
}

impl Hub {
    /// Applies the writes, or says what has changed and whether that is locked by somebody else.
    fn commit(&self, worker: usize, writes: &[Write]) -> Result<(), broker::Conflict> {
        let mut state = self.0.lock();
        let locked = state.holder.is_some_and(|holder| holder != worker)
            && writes.iter().any(|write| state.pinned.contains(&write.key));
        let entries: Vec<_> = writes
            .iter()
            .map(|write| (state.entry(&write.key), write.version))
            .filter(|(entry, version)| entry.version != *version)
            .map(|(entry, _)| entry)
            .collect();
        if locked || !entries.is_empty() {
            state.conflicts += 1;
            return Err(broker::Conflict { entries, locked });
        }
        for Write { key, version, value } in writes.iter().cloned() {
            let entry = broker::Entry { key: key.clone(), version: version + 1, value };
            state.entries.insert(key, entry);
        }
        state.unlock(worker);
        Ok(())
    }

    fn dict(&self) -> Dict {
        Dict::from_entries(self.0.lock().entries.values().cloned().collect())
    }

    fn version<V>(&self, key: Key<V>) -> u64 {
        self.0.lock().entry(key.name()).version
    }

    fn put<V: Value>(&self, key: Key<V>, value: V) {
        let version = self.version(key);
        let value = Some(crate::dict::Stored::encode(&value).unwrap());
        let write = Write { key: key.name().to_string(), version, value };
        self.commit(usize::MAX, &[write]).unwrap();
    }

    fn worker(&self, number: usize) -> Worker {
        let dict = SharedDict::at(Arc::new(Seat { hub: self.clone(), worker: number }));
        let merges = dict.join(&Attempts::default(), Barrier::detect());
        Worker { hub: self.clone(), number, local: dict.of_this_thread(), dict, merges }
    }
}

#[derive(Debug)]
struct Seat {
    hub: Hub,
    worker: usize,
}

impl RemoteDict for Seat {
    fn lock(&self) {
        loop {
            let mut state = self.hub.0.lock();
            if *state.holder.get_or_insert(self.worker) == self.worker {
                return;
            }
            drop(state);
            thread::yield_now();
        }
    }

    fn read(&self, key: &str, known: u64) -> Option<broker::Entry> {
        let mut state = self.hub.0.lock();
        if state.holder == Some(self.worker) {
            state.pinned.insert(key.to_string());
        }
        let entry = state.entry(key);
        state.reads.0 += 1;
        if entry.version == known {
            return None;
        }
        state.reads.1 += 1;
        Some(entry)
    }
}

struct Worker {
    hub: Hub,
    number: usize,
    dict: SharedDict,
    local: LocalDict,
    merges: Merges,
}

impl Worker {
    /// Runs a task that ends well.
    fn task(&mut self, task: impl FnOnce(&mut Merges, &LocalDict)) {
        task(&mut self.merges, &self.local);
        self.merges.end_attempt();
    }

    fn merge<V: Value + Merge>(&mut self, key: Key<V>, value: V) {
        self.task(|merges, _| merges.merge(key, value));
    }

    /// Runs a task that fails and gives its panic, if it panics.
    fn failing_task(&mut self, task: impl FnOnce(&mut Merges, &LocalDict)) -> String {
        let (merges, local) = (&mut self.merges, &self.local);
        let failed = Cause::of(|| {
            task(merges, local);
            Err("failed".into())
        });
        self.merges.discard().into_iter().for_each(drop_quietly);
        self.merges.end_attempt();
        failed.unwrap_err().to_string()
    }

    /// Commits; `blocked` waits until what is locked is free.
    fn commit_with(&self, mut blocked: impl FnMut(usize)) {
        let mut writes = self.dict.writes().unwrap();
        while let Err(conflict) = self.hub.commit(self.number, &writes) {
            let holder = self.hub.0.lock().holder;
            if let (true, Some(holder)) = (conflict.locked, holder) {
                blocked(holder);
            }
            writes = self.dict.rebase(conflict.entries).unwrap();
        }
        self.dict.committed();
    }

    fn commit(&self) {
        self.commit_with(|_| thread::yield_now());
    }

    /// The lease is gone, and the lock with it.
    fn lose(&self) {
        self.hub.0.lock().unlock(self.number);
        self.dict.forget();
    }

    fn broken(&self) -> String {
        self.dict.writes().unwrap_err().to_string()
    }
}

#[test]
fn nothing_is_written_when_nothing_has_changed() {
    let hub = Hub::default();
    hub.put(LOCKED, 1);
    let mut worker = hub.worker(0);
    assert_eq!(worker.dict.writes(), Ok(vec![]));
    worker.task(|_, dict| {
        let mut dict = dict.lock();
        assert_eq!((dict.get(LOCKED), dict.remove(SEEN)), (Some(1), None));
        assert!(dict.get_mut(SEEN).is_none());
        assert!(dict.contains(LOCKED) && !dict.contains(SUM));
        dict.entry(SUM).and_modify(|_| unreachable!("there is none"));
    });
    worker.failing_task(|merges, _| merges.merge(SUM, Sum(1)));
    assert_eq!(worker.dict.writes(), Ok(vec![]));
    worker.commit();
    assert_eq!(hub.dict().len(), 1);
}

#[test]
fn merges_of_two_workers_conflict_and_end_exact() {
    let hub = Hub::default();
    let mut workers = [hub.worker(0), hub.worker(1)];
    for n in 1..=100 {
        for worker in &mut workers {
            worker.merge(SUM, Sum(n));
            worker.merge(SEEN, BTreeSet::from([n, 1000 * worker.number as u64]));
        }
        for worker in &workers {
            worker.commit();
        }
    }
    let dict = hub.dict();
    assert_eq!(dict.get(SUM), Some(Sum(2 * 5050)));
    assert_eq!(dict.get(SEEN), Some((0..=100).chain([1000]).collect()));
    // Each commit of one makes the other's next one a conflict, except the very first.
    assert_eq!((hub.version(SUM), hub.0.lock().conflicts), (200, 199));
}

#[test]
fn a_set_of_writes_is_rebased_as_often_as_it_takes() {
    let hub = Hub::default();
    let (mut slow, mut quick) = (hub.worker(0), hub.worker(1));
    slow.merge(SUM, Sum(1));
    let mut writes = slow.dict.writes().unwrap();
    for n in 0..3 {
        quick.merge(SUM, Sum(10));
        quick.commit();
        // What finishes meanwhile belongs to the next set.
        slow.merge(SUM, Sum(100));
        let conflict = hub.commit(0, &writes).unwrap_err();
        assert_eq!(conflict.entries[0].version, n + 1);
        writes = slow.dict.rebase(conflict.entries).unwrap();
    }
    hub.commit(0, &writes).unwrap();
    slow.dict.committed();
    assert_eq!((hub.dict().get(SUM), hub.version(SUM)), (Some(Sum(31)), 4));
    slow.commit();
    assert_eq!((hub.dict().get(SUM), hub.version(SUM)), (Some(Sum(331)), 5));
    assert_eq!(slow.dict.writes(), Ok(vec![]));
}

#[test]
fn writes_that_were_asked_for_twice_have_everything_once() {
    let hub = Hub::default();
    let (mut worker, mut other) = (hub.worker(0), hub.worker(1));
    other.merge(SUM, Sum(5));
    other.commit();
    for n in [1, 10, 100] {
        worker.merge(SUM, Sum(n));
        worker.dict.writes().unwrap();
    }
    worker.commit();
    assert_eq!(hub.dict().get(SUM), Some(Sum(116)));
}

#[test]
fn pending_merges_of_a_running_attempt_are_not_among_the_writes() {
    let hub = Hub::default();
    let mut worker = hub.worker(0);
    worker.merge(SUM, Sum(1));
    let (keeper, hub_of_keeper) = (worker.dict.clone(), hub.clone());
    worker.task(|merges, _| {
        merges.merge(SUM, Sum(10));
        merges.merge(TOP, Max(10));
        thread::spawn(move || {
            let writes = keeper.writes().unwrap();
            assert_eq!(writes.len(), 1);
            hub_of_keeper.commit(0, &writes).unwrap();
            keeper.committed();
        })
        .join()
        .unwrap();
        assert_eq!((hub.dict().get(SUM), hub.dict().get(TOP)), (Some(Sum(1)), None));
        merges.merge(SUM, Sum(100));
    });
    worker.failing_task(|merges, _| merges.merge(SUM, Sum(1000)));
    worker.commit();
    assert_eq!((hub.dict().get(SUM), hub.dict().get(TOP)), (Some(Sum(111)), Some(Max(10))));
}

#[test]
fn a_keeper_commits_while_handlers_merge_and_peek() {
    const TASKS: u64 = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let hub = Hub::default();
    let mut worker = hub.worker(0);
    let (done, finishing) = (AtomicBool::new(false), Mutex::new(()));
    let keeper = worker.dict.clone();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let quiet = finishing.lock();
                let mut writes = keeper.writes().unwrap();
                while let Err(conflict) = hub.commit(0, &writes) {
                    writes = keeper.rebase(conflict.entries).unwrap();
                }
                keeper.committed();
                drop(quiet);
                thread::yield_now();
            }
        });
        scope.spawn(|| {
            let mut other = hub.worker(1);
            for _ in 0..100 {
                other.merge(SUM, Sum(1));
                other.commit();
                thread::yield_now();
            }
        });
        let mut seen = 0;
        for n in 1..=TASKS {
            worker.merges.merge(SUM, Sum(1));
            worker.merges.merge(TOP, Max(n));
            if n % 64 == 0 {
                let Sum(now) = worker.local.peek(SUM).unwrap_or_default();
                assert!(now >= seen, "{now} was seen after {seen}");
                seen = now;
            }
            let quiet = finishing.lock();
            if n % 10 == 0 {
                worker.merges.discard().into_iter().for_each(drop_quietly);
            }
            worker.merges.end_attempt();
            drop(quiet);
        }
        done.store(true, Ordering::Relaxed);
    });
    worker.commit();
    assert_eq!(hub.dict().get(SUM), Some(Sum(TASKS / 10 * 9 + 100)));
    assert_eq!(hub.dict().get(TOP), Some(Max(TASKS - 1)));
}

#[test]
fn read_modify_write_of_two_workers_is_exact() {
    let hub = Hub::default();
    let run = |number: usize| {
        let mut worker = hub.worker(number);
        for _ in 0..100 {
            for _ in 0..3 {
                worker.task(|merges, dict| {
                    merges.merge(SUM, Sum(1));
                    *dict.lock().entry(LOCKED).or_default() += 1;
                });
            }
            worker.merge(SEEN, BTreeSet::from([number as u64]));
            worker.commit();
        }
    };
    thread::scope(|scope| {
        (0..3).for_each(|number| drop(scope.spawn(move || run(number))));
    });
    let dict = hub.dict();
    assert_eq!((dict.get(LOCKED), dict.get(SUM)), (Some(900), Some(Sum(900))));
    assert_eq!(hub.version(LOCKED), 300);
}

#[test]
fn under_the_lock_an_entry_is_read_once_a_lease_and_sent_once_a_version() {
    let hub = Hub::default();
    hub.put(LOCKED, 1);
    let mut worker = hub.worker(0);
    for lease in 1..=3 {
        for _ in 0..2 {
            worker.task(|_, dict| {
                let mut dict = dict.lock();
                *dict.get_mut(LOCKED).unwrap() += 1;
                assert!(dict.contains(LOCKED));
            });
        }
        assert_eq!(hub.0.lock().reads, (lease, 1));
        worker.commit();
    }
    hub.put(LOCKED, 100);
    worker.task(|_, dict| assert_eq!(dict.lock().insert(LOCKED, 101), Some(100)));
    assert_eq!(hub.0.lock().reads, (4, 2));
    worker.commit();
    assert_eq!((hub.dict().get(LOCKED), hub.version(LOCKED)), (Some(101), 6));
}

#[test]
fn a_key_that_is_merged_and_locked_is_one_write() {
    let hub = Hub::default();
    let (mut worker, mut other) = (hub.worker(0), hub.worker(1));
    other.merge(SUM, Sum(1000));
    other.commit();
    worker.merge(SUM, Sum(1));
    worker.task(|merges, dict| {
        merges.merge(SUM, Sum(10));
        let mut dict = dict.lock();
        // What finished tasks have merged, here and elsewhere; not what this one has.
        assert_eq!(dict.get(SUM), Some(Sum(1001)));
        dict.get_mut(SUM).unwrap().0 *= 2;
    });
    worker.task(|_, dict| assert_eq!(dict.lock().get(SUM), Some(Sum(2012))));
    worker.merge(SUM, Sum(100));
    other.merge(SUM, Sum(5));
    let conflict = hub.commit(1, &other.dict.writes().unwrap()).unwrap_err();
    assert!(!conflict.locked || conflict.entries.is_empty());
    let writes = worker.dict.writes().unwrap();
    assert_eq!((writes.len(), writes[0].version), (1, 1));
    worker.commit();
    assert_eq!(hub.dict().get(SUM), Some(Sum(2112)));
    other.commit();
    assert_eq!((hub.dict().get(SUM), hub.version(SUM)), (Some(Sum(2117)), 3));
}

#[test]
fn a_key_that_is_only_read_under_the_lock_commits_the_merges_that_were_joined() {
    let hub = Hub::default();
    let mut worker = hub.worker(0);
    worker.merge(SUM, Sum(1));
    worker.task(|_, dict| assert_eq!(dict.lock().get_ref(SUM), Some(&Sum(1))));
    assert!(!worker.dict.take_touched());
    worker.commit();
    assert_eq!(hub.dict().get(SUM), Some(Sum(1)));
    assert_eq!(worker.dict.writes(), Ok(vec![]));
}

#[test]
fn versions_count_removals_too() {
    let hub = Hub::default();
    let mut workers = [hub.worker(0), hub.worker(1)];
    for n in 0..10 {
        let worker = &mut workers[n as usize % 2];
        worker.task(|_, dict| assert_eq!(dict.lock().insert(LOCKED, n), None));
        worker.commit();
        let worker = &mut workers[n as usize / 2 % 2];
        worker.task(|_, dict| {
            assert_eq!(dict.lock().remove(LOCKED), Some(n));
            assert_eq!(dict.lock().remove(LOCKED), None);
        });
        worker.commit();
        assert_eq!((hub.dict().len(), hub.version(LOCKED)), (0, 2 * (n + 1)));
    }
    // Put in and taken out in one lease: nobody needs to know.
    workers[0].task(|_, dict| _ = dict.lock().insert(LOCKED, 1));
    workers[0].task(|_, dict| _ = dict.lock().remove(LOCKED));
    workers[0].commit();
    assert_eq!(hub.version(LOCKED), 20);
    // What was merged before the removal went with it.
    workers[0].merge(SUM, Sum(1));
    workers[0].commit();
    workers[0].merge(SUM, Sum(1));
    workers[0].task(|_, dict| assert_eq!(dict.lock().remove(SUM), Some(Sum(2))));
    workers[0].merge(SUM, Sum(7));
    workers[1].merge(SUM, Sum(70));
    workers[0].commit();
    workers[1].commit();
    assert_eq!((hub.dict().get(SUM), hub.version(SUM)), (Some(Sum(77)), 3));
}

#[test]
fn a_merge_meets_a_removal() {
    let hub = Hub::default();
    let mut workers = [hub.worker(0), hub.worker(1)];
    workers[0].merge(SUM, Sum(1));
    workers[0].commit();
    workers[1].task(|_, dict| _ = dict.lock().remove(SUM));
    workers[1].commit();
    workers[0].merge(SUM, Sum(2));
    workers[0].commit();
    assert_eq!((hub.dict().get(SUM), hub.version(SUM)), (Some(Sum(2)), 3));
}

#[test]
fn a_lost_lease_leaves_nothing() {
    let hub = Hub::default();
    let mut worker = hub.worker(0);
    let mut other = hub.worker(1);
    let work = |worker: &mut Worker| {
        worker.merge(SUM, Sum(1));
        worker.task(|merges, dict| {
            merges.merge(SUM, Sum(10));
            _ = dict.lock().insert(LOCKED, 1);
        });
        worker.merge(TOP, Max(1));
    };
    // Before there were writes, with writes under way, and after a conflict.
    for stage in 0..3 {
        work(&mut worker);
        if stage > 0 {
            worker.dict.writes().unwrap();
        }
        if stage > 1 {
            other.merge(TOP, Max(0));
            other.commit();
            let conflict = hub.commit(0, &worker.dict.writes().unwrap()).unwrap_err();
            worker.dict.rebase(conflict.entries).unwrap();
        }
        worker.lose();
        assert!(!worker.dict.take_touched());
        assert_eq!(worker.dict.writes(), Ok(vec![]));
        assert_eq!((worker.local.peek(SUM), worker.local.peek(LOCKED)), (None, None));
    }
    assert_eq!((hub.dict().len(), hub.dict().get(TOP)), (1, Some(Max(0))));
    work(&mut worker);
    worker.commit();
    let dict = hub.dict();
    assert_eq!(
        (dict.get(SUM), dict.get(LOCKED), dict.get(TOP)),
        (Some(Sum(11)), Some(1), Some(Max(1)))
    );
    // What was committed before stays known.
    let reads = hub.0.lock().reads;
    worker.lose();
    assert_eq!(worker.local.peek(SUM), Some(Sum(11)));
    assert_eq!(hub.0.lock().reads, (reads.0 + 1, reads.1));
}

#[test]
fn a_peek_takes_no_lock() {
    let hub = Hub::default();
    let (mut worker, mut other) = (hub.worker(0), hub.worker(1));
    assert_eq!(worker.local.peek(LOCKED), None);
    other.task(|_, dict| {
        _ = dict.lock().insert(LOCKED, 1);
        assert_eq!(dict.peek(LOCKED), Some(1));
    });
    // The other one holds the lock.
    assert_eq!(worker.local.peek(LOCKED), None);
    other.commit();
    assert_eq!((worker.local.peek(LOCKED), worker.local.peek(LOCKED)), (Some(1), Some(1)));
    assert_eq!(hub.0.lock().holder, None);
    // Read without the lock is not enough under the lock.
    hub.put(LOCKED, 2);
    worker.task(|_, dict| {
        assert_eq!(dict.lock().peek(LOCKED), Some(&2));
        *dict.lock().get_mut(LOCKED).unwrap() += 1;
    });
    assert_eq!(worker.local.peek(LOCKED), Some(3));
    let text = worker.failing_task(|_, dict| {
        let _lock = dict.lock();
        dict.peek(LOCKED);
    });
    assert!(text.contains("the dict lock is already held by this task"), "{text}");
    let text = worker.failing_task(|_, dict| {
        let _lock = dict.lock();
        dict.lock();
    });
    assert!(text.contains("the dict lock is already held by this task"), "{text}");
}

#[test]
fn an_entry_that_a_lost_lease_has_read_under_the_lock_is_read_again() {
    let hub = Hub::default();
    hub.put(LOCKED, 1);
    let mut worker = hub.worker(0);
    worker.task(|_, dict| assert_eq!(dict.lock().get(LOCKED), Some(1)));
    worker.lose();
    hub.put(LOCKED, 2);
    assert_eq!(worker.local.peek(LOCKED), Some(2));
    hub.put(LOCKED, 3);
    worker.task(|_, dict| assert_eq!(dict.lock().get(LOCKED), Some(3)));
}

#[test]
fn a_peek_whose_answer_is_overtaken_by_a_commit_changes_nothing() {
    /// Gives its answer after a keeper's commit that the answer does not know of.
    #[derive(Debug, Default)]
    struct Overtaken(Mutex<Option<SharedDict>>);
    impl RemoteDict for Overtaken {
        fn lock(&self) {}
        fn read(&self, key: &str, _: u64) -> Option<broker::Entry> {
            if let Some(keeper) = &*self.0.lock() {
                assert_eq!(keeper.writes().unwrap().len(), 1);
                keeper.committed();
            }
            let value = Some(crate::dict::Stored::encode(&Sum(0_u64)).unwrap());
            Some(broker::Entry { key: key.to_string(), version: 1, value })
        }
    }
    let home = Arc::new(Overtaken::default());
    let dict = SharedDict::at(Arc::clone(&home) as _);
    let local = dict.of_this_thread();
    let mut merges = dict.join(&Attempts::default(), Barrier::detect());
    assert_eq!(local.peek(SUM), Some(Sum(0)));
    merges.merge(SUM, Sum(1));
    merges.end_attempt();
    *home.0.lock() = Some(dict.clone());
    assert_eq!(local.peek(SUM), Some(Sum(1)));
    assert_eq!(dict.writes(), Ok(vec![]));
    // The home and the dict own each other here.
    home.0.lock().take();
}

#[test]
fn writes_under_the_lock_are_noticed() {
    let hub = Hub::default();
    let mut worker = hub.worker(0);
    let mut touches = |access: fn(&mut ScopeLock)| {
        worker.task(|_, dict| access(&mut dict.lock()));
        (worker.dict.take_touched(), worker.dict.take_touched())
    };
    assert_eq!(touches(|dict| _ = dict.get(LOCKED)), (false, false));
    assert_eq!(touches(|dict| _ = dict.get_mut(LOCKED)), (false, false));
    assert_eq!(touches(|dict| _ = dict.remove(LOCKED)), (false, false));
    assert_eq!(touches(|dict| _ = dict.insert(LOCKED, 1)), (true, false));
    assert_eq!(touches(|dict| _ = dict.get_ref(LOCKED)), (false, false));
    assert_eq!(touches(|dict| _ = dict.contains(LOCKED)), (false, false));
    assert_eq!(touches(|dict| _ = dict.get_mut(LOCKED)), (true, false));
    assert_eq!(touches(|dict| _ = dict.entry(LOCKED).or_insert(2)), (true, false));
    assert_eq!(touches(|dict| _ = dict.remove(LOCKED)), (true, false));
    assert!(!SharedDict::new().take_touched());
}

#[test]
fn two_types_of_one_key_are_found_wherever_they_meet() {
    const SUM_AS_TEXT: Key<String> = Key::new("sum");
    const SUM_AS_MAX: Key<Max<u64>> = Key::new("sum");
    let hub = Hub::default();
    hub.put(SUM, Sum(1));
    let mut worker = hub.worker(0);
    let text = worker.failing_task(|_, dict| _ = dict.lock().get(SUM_AS_TEXT));
    assert!(text.contains("Sum<u64>, not a alloc::string::String: two keys share"), "{text}");
    let text = worker.failing_task(|_, dict| _ = dict.peek(SUM_AS_TEXT));
    assert!(text.contains("Sum<u64>, not a alloc::string::String: two keys share"), "{text}");
    let text = worker.failing_task(|_, dict| _ = dict.lock().insert(SUM_AS_TEXT, String::new()));
    assert!(text.contains("Sum<u64>, not a alloc::string::String: two keys share"), "{text}");
    assert_eq!(worker.dict.writes(), Ok(vec![]));
    worker.lose();

    let mut worker = hub.worker(1);
    worker.merge(SUM_AS_MAX, Max(2));
    let conflict = hub.commit(1, &worker.dict.writes().unwrap()).unwrap_err();
    let text = worker.dict.rebase(conflict.entries).unwrap_err().to_string();
    assert!(text.contains("Sum<u64>, not a prunner::dict::merge::Max<u64>: two keys"), "{text}");
    assert_eq!(worker.broken(), text);
    worker.lose();
    assert_eq!(worker.dict.writes(), Ok(vec![]));
    assert_eq!(hub.dict().get(SUM), Some(Sum(1)));
}

#[test]
fn an_entry_that_cannot_be_read_is_named() {
    let hub = Hub::default();
    hub.put(SUM, Sum(1));
    hub.0.lock().entries.get_mut("sum").unwrap().value.as_mut().unwrap().bytes.0.push(0);
    let text = "the dict's entry \"sum\" cannot be read from 2 bytes: 1 bytes are left over";
    let mut worker = hub.worker(0);
    assert!(worker.failing_task(|_, dict| _ = dict.lock().get(SUM)).contains(text));
    assert!(worker.failing_task(|_, dict| _ = dict.peek(SUM)).contains(text));
    worker.lose();
    worker.merge(SUM, Sum(1));
    let conflict = hub.commit(0, &worker.dict.writes().unwrap()).unwrap_err();
    assert_eq!(worker.dict.rebase(conflict.entries).unwrap_err().to_string(), text);
}

#[test]
fn a_merge_that_panics_breaks_the_lease_and_not_the_next() {
    let text = "a merge panicked, and these entries of the dict are not complete: small";
    let why = "a Sum<u8> overflows: use a wider number)";
    let hub = Hub::default();
    hub.put(SMALL, Sum(100));
    let mut worker = hub.worker(0);
    let check = |worker: &Worker, told: String| {
        assert!(told.starts_with(text) && told.ends_with(why), "{told}");
        assert!(worker.broken().starts_with(text), "{}", worker.broken());
        worker.lose();
        assert_eq!(worker.dict.writes(), Ok(vec![]));
        assert_eq!(hub.dict().get(SMALL), Some(Sum(100)));
    };
    // Of two finished tasks.
    worker.merge(SMALL, Sum(200));
    worker.merge(SMALL, Sum(200));
    let told = worker.broken();
    check(&worker, told);
    // Noticed by a handler.
    worker.merge(SMALL, Sum(200));
    worker.merge(SMALL, Sum(200));
    worker.failing_task(|merges, _| merges.merge(SMALL, Sum(1)));
    assert_eq!(worker.broken(), text);
    worker.lose();
    // Onto the value at home, after a conflict.
    worker.merge(SMALL, Sum(200));
    let conflict = hub.commit(0, &worker.dict.writes().unwrap()).unwrap_err();
    let told = worker.dict.rebase(conflict.entries).unwrap_err().to_string();
    check(&worker, told);
    // Onto the value that is known.
    assert_eq!(worker.local.peek(SMALL), Some(Sum(100)));
    worker.merge(SMALL, Sum(200));
    let told = worker.broken();
    check(&worker, told);
    // Under the lock.
    worker.merge(SMALL, Sum(200));
    worker.failing_task(|_, dict| _ = dict.lock().get(SMALL));
    assert_eq!(worker.broken(), text);
    worker.lose();
    // Afterwards.
    worker.merge(SMALL, Sum(1));
    worker.commit();
    assert_eq!(hub.dict().get(SMALL), Some(Sum(101)));
}

/// A number that is neither written nor dropped when it is 13, and panics when written if it is 14.
#[derive(Debug, Deserialize)]
struct Moody(u64);

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            13 => Err(serde::ser::Error::custom("13 is no number")),
            14 => panic!("14 neither"),
            n => serializer.serialize_u64(n),
        }
    }
}

impl Merge for Moody {
    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        assert!(self.0 != 13 || thread::panicking(), "13 is not dropped");
    }
}

#[test]
fn values_that_cannot_be_written_are_named() {
    const MOODY: Key<Moody> = Key::new("moody");
    let hub = Hub::default();
    let mut worker = hub.worker(0);
    worker.task(|_, dict| _ = dict.lock().insert(MOODY, Moody(13)));
    let text = worker.broken();
    assert!(text.starts_with("the dict's entry \"moody\" cannot be written as bytes: "), "{text}");
    assert_eq!(worker.broken(), text);
    worker.lose();
    worker.task(|_, dict| _ = dict.lock().insert(MOODY, Moody(14)));
    let text = worker.broken();
    assert!(
        text.starts_with("the dict's entry \"moody\" cannot be committed: it panicked"),
        "{text}"
    );
    worker.lose();
    worker.merge(MOODY, Moody(14));
    assert_eq!(worker.broken(), text);
    worker.lose();
    worker.merge(MOODY, Moody(13));
    worker.merge(SUM, Sum(1));
    let text = worker.broken();
    assert!(text.contains("moody\" cannot be committed: it panicked"), "{text}");
    assert_eq!(worker.broken(), text);
    worker.lose();
    worker.merge(MOODY, Moody(1));
    worker.commit();
    assert_eq!(hub.dict().get_ref(MOODY).map(|moody| moody.0), Some(1));
}

#[test]
fn a_lock_that_was_kept_is_found_without_waiting_for_it() {
    let hub = Hub::default();
    let text = thread::spawn(move || {
        let mut worker = hub.worker(0);
        worker.merge(SUM, Sum(1));
        worker.task(|_, dict| mem::forget(dict.lock()));
        worker.dict.forget();
        let text = worker.dict.writes().unwrap_err();
        assert_eq!(worker.dict.writes(), Err(text.clone()));
        text
    });
    assert_eq!(text.join().unwrap().to_string(), LOCK_LEAKED);
}

#[test]
fn a_keeper_is_not_held_up_by_a_handler_that_waits_for_the_lock() {
    #[derive(Debug)]
    struct Slow(Mutex<mpsc::Receiver<()>>);
    impl RemoteDict for Slow {
        fn lock(&self) {
            self.0.lock().recv().unwrap();
        }
        fn read(&self, _: &str, _: u64) -> Option<broker::Entry> {
            self.0.lock().recv().unwrap();
            None
        }
    }
    let (go, gone) = mpsc::channel();
    let dict = SharedDict::at(Arc::new(Slow(Mutex::new(gone))));
    let mut merges = dict.join(&Attempts::default(), Barrier::detect());
    merges.merge(SUM, Sum(1));
    merges.end_attempt();
    let keeper = dict.clone();
    thread::scope(|scope| {
        let handler = scope.spawn(|| {
            let local = dict.of_this_thread();
            local.peek(LOCKED);
            drop(local.lock());
        });
        for _ in 0..2 {
            assert_eq!(keeper.writes().map(|writes| writes.len()), Ok(1));
            go.send(()).unwrap();
        }
        handler.join().unwrap();
    });
}

/// What one worker's lease has done and not committed, in a world without prunner.
#[derive(Clone, Default)]
struct Expected {
    sum: u64,
    words: BTreeMap<u64, u64>,
    locked: u64,
}

/// Workers that do all of it in any order, step by step, against what they should come to.
#[test]
fn any_history_ends_exact() {
    for seed in 1..=if cfg!(debug_assertions) { 300 } else { 3000 } {
        history(seed);
    }
}

fn history(seed: u64) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut dice = |sides: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % sides
    };
    let hub = Hub::default();
    let mut workers = [hub.worker(0), hub.worker(1), hub.worker(2)];
    let mut leases: [Expected; 3] = Default::default();
    let mut truth = Expected::default();
    // All that `lease` has done becomes true.
    fn settle(truth: &mut Expected, lease: &mut Expected) {
        let lease = mem::take(lease);
        truth.sum += lease.sum;
        truth.locked += lease.locked;
        lease.words.into_iter().for_each(|(word, n)| *truth.words.entry(word).or_default() += n);
    }
    for _ in 0..200 {
        let n = dice(3) as usize;
        let holder = hub.0.lock().holder;
        let free = holder.is_none_or(|holder| holder == n);
        let (worker, lease) = (&mut workers[n], &mut leases[n]);
        match dice(12) {
            0..=3 => {
                let amount = dice(100);
                worker.merge(SUM, Sum(amount));
                worker.merge(WORDS, [amount % 5].into_iter().collect());
                lease.sum += amount;
                *lease.words.entry(amount % 5).or_default() += 1;
            }
            4 => _ = worker.failing_task(|merges, _| merges.merge(SUM, Sum(1_000_000))),
            5 if free => {
                worker.task(|_, dict| *dict.lock().entry(LOCKED).or_default() += 1);
                lease.locked += 1;
            }
            6 if free => {
                let amount = dice(50);
                let expected = Sum(truth.sum + lease.sum);
                worker.task(|merges, dict| {
                    merges.merge(SUM, Sum(1));
                    let mut dict = dict.lock();
                    assert_eq!(dict.get(SUM).unwrap_or_default(), expected, "seed {seed}");
                    dict.entry(SUM).or_default().0 += amount;
                });
                lease.sum += amount + 1;
            }
            7 => {
                let at_most = truth.sum + lease.sum;
                let Sum(seen) = worker.local.peek(SUM).unwrap_or_default();
                assert!(seen <= at_most, "seed {seed}: {seen} > {at_most}");
            }
            8 => {
                worker.lose();
                *lease = Expected::default();
            }
            9..=11 => {
                let (workers, leases, truth) = (&workers, &mut leases, &mut truth);
                workers[n].commit_with(|holder| {
                    workers[holder].commit();
                    settle(truth, &mut leases[holder]);
                });
                settle(truth, &mut leases[n]);
            }
            _ => {}
        }
    }
    for n in 0..3 {
        let (leases, truth) = (&mut leases, &mut truth);
        workers[n].commit_with(|holder| {
            workers[holder].commit();
            settle(truth, &mut leases[holder]);
        });
        settle(truth, &mut leases[n]);
    }
    let dict = hub.dict();
    assert_eq!(dict.get(SUM).unwrap_or_default(), Sum(truth.sum), "seed {seed}");
    assert_eq!(dict.get(LOCKED).unwrap_or_default(), truth.locked, "seed {seed}");
    let words = dict.get(WORDS).unwrap_or_default();
    let words: BTreeMap<_, _> = words.most_common(9).into_iter().map(|(w, n)| (*w, n)).collect();
    assert_eq!(words, truth.words, "seed {seed}");
}
