//! Workers that are only frames: what the parent answers to each, and what becomes of what they held.

mod room;

use super::{requests::MOST_WANTED, *};
use crate::{
    Order,
    broker::{Batch, Encoded, Lease, MOST_INTERRUPTIONS, MemoryBroker, Read, Status, Tasks, Write},
    codec::Bytes,
    process::{
        death::Blame,
        wire::{Inbox, ToParent},
    },
};

fn batch(task: &[u8]) -> Batch {
    Batch { tasks: Tasks::one(task), ..Batch::default() }
}

/// A dispatcher with so many workers of two seats each, before a broker with these tasks.
fn dispatcher(workers: usize, tasks: &[&[u8]]) -> (Dispatcher, Arc<dyn Broker>) {
    let first = tasks.iter().map(|task| batch(task)).collect();
    let broker: Arc<dyn Broker> =
        Arc::new(MemoryBroker::new(Duration::from_secs(3600), Order::Fifo, first));
    let mut dispatcher = Dispatcher::new(Arc::clone(&broker), SETTINGS);
    for line in 0..workers {
        dispatcher.open(line, 2);
        dispatcher.wants(line, 0, &[]);
    }
    (dispatcher, broker)
}

fn crash() -> Death {
    Death::new("it aborted", Blame::Tasks)
}

fn kill() -> Death {
    Death::new("it was killed", Blame::Outside)
}

const SETTINGS: LeaseSettings =
    LeaseSettings { time: Duration::from_secs(3600), max_interruptions: MOST_INTERRUPTIONS };

impl Dispatcher {
    /// What a worker was told since it was last asked.
    fn told(&mut self, line: usize) -> Vec<ToWorker> {
        let out = std::mem::take(self.outbox(line).expect("the line is open"));
        let (mut from, mut inbox, mut told) = (&out[..], Inbox::default(), Vec::new());
        while inbox.read_from(&mut from).expect("memory does not fail") > 0 {
            while let Some(down) = inbox.next().expect("these are frames") {
                told.push(down);
            }
        }
        told
    }

    fn says(&mut self, line: usize, up: ToParent) {
        self.handle(line, up).expect("it is within the protocol");
    }

    fn wants(&mut self, line: usize, seat: u16, tokens: &[u128]) {
        let want = tokens.iter().copied().map(Token).collect();
        self.says(line, ToParent::Step { seat, commit: None, want });
    }

    fn delivers(&mut self, line: usize, seat: u16, commit: Commit) {
        self.says(line, ToParent::Step { seat, commit: Some(commit), want: Vec::new() });
    }

    fn asks_for_lock(&mut self, line: usize, token: u128) {
        self.says(line, ToParent::Lock { seat: 0, token: Token(token) });
    }

    fn is_over(&mut self) -> bool {
        self.pump().expect("memory does not fail")
    }

    fn refuses(&mut self, line: usize, up: ToParent) -> String {
        match self.handle(line, up) {
            Err(ServeError::Protocol(why)) => why,
            other => panic!("{other:?} instead of a breach of the protocol"),
        }
    }
}

fn now(broker: &Arc<dyn Broker>) -> Status {
    broker.watch(0, Duration::ZERO).expect("memory does not fail")
}

/// The tasks of the leases among what was told.
fn leased(told: &[ToWorker]) -> Vec<Vec<u8>> {
    let leases = told.iter().flat_map(|down| match down {
        ToWorker::Leased { leases, .. } => leases.clone(),
        _ => Vec::new(),
    });
    let tasks = leases.flat_map(|lease| {
        let tasks = lease.batch.tasks.iter().map(|task| task.expect("it is whole").to_vec());
        tasks.collect::<Vec<_>>()
    });
    tasks.collect()
}

fn write(version: u64) -> Write {
    let value = Some(Encoded { type_name: "u64".into(), bytes: Bytes(vec![1]) });
    Write { key: "k".into(), version, value }
}

fn read(token: u128) -> ToParent {
    ToParent::Read { seat: 0, token: Token(token), key: "k".into(), known: 0 }
}

#[test]
fn what_makes_no_sense_is_a_breach_of_the_protocol() {
    let (mut dispatcher, _) = dispatcher(1, &[b"a"]);
    for up in [ToParent::Ready, ToParent::Refused("no".into()), ToParent::Unable("no".into())] {
        assert_eq!(dispatcher.refuses(0, up), "it says hello in the middle of a run");
    }
    let commit = || Some(Commit::new(Token(1)));
    let unknown = [
        ToParent::Posts { seat: 2, batches: Vec::new() },
        ToParent::Step { seat: 2, commit: None, want: Vec::new() },
        ToParent::Step { seat: 2, commit: commit(), want: Vec::new() },
        ToParent::Lock { seat: 2, token: Token(1) },
        ToParent::Read { seat: 2, token: Token(1), key: "k".into(), known: 0 },
        ToParent::Release { seat: 2, token: Token(1), why: Release::Crashed },
    ];
    for up in unknown {
        assert_eq!(dispatcher.refuses(0, up), "it has no seat 2");
    }
    assert_eq!(
        dispatcher.refuses(1, ToParent::Lock { seat: 0, token: Token(1) }),
        "it has no seat 0"
    );
    assert_eq!(dispatcher.told(0), []);
}

#[test]
fn nobody_wants_more_than_a_few_leases_at_once() {
    let (mut dispatcher, _) = dispatcher(1, &[]);
    let wants = |tokens: std::ops::Range<u128>| ToParent::Step {
        seat: 0,
        commit: None,
        want: tokens.map(Token).collect(),
    };
    dispatcher.says(0, wants(0..MOST_WANTED as u128));
    assert_eq!(dispatcher.refuses(0, wants(9..10)), "it asks before it was answered");
}

/// Worker 0 holds the lock and has read what worker 1 has written and not committed.
fn commit_that_waits() -> (Dispatcher, Arc<dyn Broker>) {
    let (mut dispatcher, broker) = dispatcher(2, &[b"a", b"b"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.wants(1, 0, &[2]);
    dispatcher.is_over();
    dispatcher.asks_for_lock(0, 1);
    dispatcher.says(0, read(1));
    dispatcher.says(1, ToParent::Posts { seat: 0, batches: vec![batch(b"ahead")] });
    let commit =
        Commit { writes: vec![write(0)], posts: vec![batch(b"with it")], ..Commit::new(Token(2)) };
    dispatcher.delivers(1, 0, commit);
    dispatcher.told(0);
    assert_eq!(leased(&dispatcher.told(1)), [b"b"]);
    (dispatcher, broker)
}

#[test]
fn a_commit_waits_for_the_lock_and_its_worker_for_the_commit() {
    let (mut dispatcher, broker) = commit_that_waits();
    assert!(!dispatcher.is_over());
    assert_eq!(dispatcher.told(1), [], "it waits");
    let again = ToParent::Step { seat: 0, commit: Some(Commit::new(Token(2))), want: Vec::new() };
    assert_eq!(dispatcher.refuses(1, again), "it asks before it was answered");
    dispatcher.delivers(0, 0, Commit::new(Token(1)));
    assert!(!dispatcher.is_over());
    assert_eq!(dispatcher.told(1), [ToWorker::Committed { seat: 0, token: Token(2) }]);
    assert_eq!(now(&broker).queued, 2, "what was posted ahead of the commit, and with it");
}

#[test]
fn who_dies_while_its_commit_waits_has_not_committed() {
    let (mut dispatcher, broker) = commit_that_waits();
    dispatcher.close(1, &crash()).expect("memory does not fail");
    assert_eq!(now(&broker).queued, 1, "its task is back");
    dispatcher.delivers(0, 0, Commit::new(Token(1)));
    dispatcher.wants(0, 0, &[3, 4]);
    assert!(!dispatcher.is_over());
    assert_eq!(
        leased(&dispatcher.told(0)),
        [b"b"],
        "its task is back, and what it has posted is not there"
    );
    dispatcher.delivers(0, 0, Commit::new(Token(3)));
    assert!(dispatcher.is_over());
    let outcome = broker.outcome().expect("memory does not fail");
    assert_eq!((outcome.entries.len(), outcome.returned), (0, 0));
}

#[test]
fn posts_belong_to_the_next_commit_of_their_seat_or_to_nothing() {
    let (mut dispatcher, broker) = dispatcher(1, &[b"a", b"b"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.wants(0, 1, &[2]);
    dispatcher.is_over();
    for (seat, task) in [(0, b"p"), (0, b"q"), (1, b"r")] {
        dispatcher.says(0, ToParent::Posts { seat, batches: vec![batch(task)] });
    }
    assert_eq!(now(&broker).queued, 0, "nothing is there before its commit");
    dispatcher.delivers(0, 0, Commit { posts: vec![batch(b"s")], ..Commit::new(Token(1)) });
    assert_eq!(now(&broker).queued, 3);
    dispatcher.delivers(0, 0, Commit::new(Token(9)));
    assert_eq!(dispatcher.told(0).last(), Some(&ToWorker::Lost { seat: 0, token: Token(9) }));
    dispatcher.close(0, &crash()).expect("memory does not fail");
    dispatcher.open(0, 2);
    dispatcher.wants(0, 0, &[10, 11]);
    dispatcher.wants(0, 1, &[12, 13]);
    dispatcher.is_over();
    assert_eq!(leased(&dispatcher.told(0)), [b"p", b"q", b"s", b"b"], "all but r");
}

/// It may be stopped; then the others go on without it.
#[test]
fn the_turn_of_a_worker_that_does_not_come_again_ends() {
    let (mut dispatcher, broker) = dispatcher(2, &[b"a", b"b"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.wants(1, 0, &[2]);
    dispatcher.is_over();
    dispatcher.delivers(0, 0, Commit { writes: vec![write(4)], ..Commit::new(Token(1)) });
    dispatcher.delivers(1, 0, Commit { writes: vec![write(0)], ..Commit::new(Token(2)) });
    assert!(dispatcher.is_in_turn(), "another commit comes first");
    let started = Instant::now();
    while broker.outcome().expect("memory does not fail").entries.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60), "the turn does not end");
        dispatcher.is_over();
    }
    assert!(!dispatcher.is_in_turn());
    assert_eq!(dispatcher.told(1).last(), Some(&ToWorker::Committed { seat: 0, token: Token(2) }));
}

#[test]
fn writes_that_come_ahead_belong_to_the_next_commit_of_their_seat() {
    let (mut dispatcher, broker) = dispatcher(1, &[b"a", b"b"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.wants(0, 1, &[2]);
    dispatcher.is_over();
    let named = |key: &str| Write { key: key.into(), ..write(0) };
    dispatcher.says(0, ToParent::Writes { seat: 0, writes: vec![named("ahead"), named("second")] });
    dispatcher.says(0, ToParent::Writes { seat: 1, writes: vec![named("never")] });
    let keys = || {
        let entries = broker.outcome().expect("memory does not fail").entries;
        entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(), [""; 0], "nothing is there before its commit");
    dispatcher.delivers(0, 0, Commit { writes: vec![named("with it")], ..Commit::new(Token(1)) });
    dispatcher.close(0, &crash()).expect("memory does not fail");
    assert_eq!(keys(), ["ahead", "second", "with it"]);
}

/// Each of them may fill a frame, and all of them are stale.
#[test]
fn a_conflict_is_told_in_parts_that_fit_a_frame() {
    let (mut dispatcher, broker) = dispatcher(2, &[b"a", b"b"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.wants(1, 0, &[2]);
    dispatcher.is_over();
    let value = |byte| Some(Encoded { type_name: "b".into(), bytes: Bytes(vec![byte; 12 << 20]) });
    let write = |key: u8, byte| Write { key: key.to_string(), version: 0, value: value(byte) };
    let all = |byte| (0..5).map(|key| write(key, byte)).collect::<Vec<_>>();
    dispatcher.delivers(0, 0, Commit { writes: all(0), ..Commit::new(Token(1)) });
    dispatcher.told(1);
    let mut writes = all(1);
    let mut answers = 0;
    loop {
        dispatcher.delivers(1, 0, Commit { writes: writes.clone(), ..Commit::new(Token(2)) });
        answers += 1;
        match &dispatcher.told(1)[..] {
            [ToWorker::Conflict { conflict, .. }] => {
                assert!((1..=2).contains(&conflict.entries.len()), "{}", conflict.entries.len());
                for entry in &conflict.entries {
                    let write = writes.iter_mut().find(|write| write.key == entry.key);
                    write.expect("it was written").version = entry.version;
                }
            }
            told => {
                assert_eq!(told, [ToWorker::Committed { seat: 0, token: Token(2) }]);
                break;
            }
        }
    }
    assert_eq!(answers, 4, "two and two and one, and then it is committed");
    let entries = broker.outcome().expect("memory does not fail").entries;
    assert!(entries.iter().all(|entry| entry.version == 2) && entries.len() == 5);
}

#[test]
fn the_second_lease_of_a_dead_worker_was_not_started() {
    let (mut dispatcher, broker) = dispatcher(1, &[b"a", b"b"]);
    dispatcher.wants(0, 0, &[1, 2]);
    dispatcher.is_over();
    assert_eq!(leased(&dispatcher.told(0)), [b"a", b"b"]);
    dispatcher.close(0, &crash()).expect("memory does not fail");
    let Ok(Step::Leased(leases, _)) = broker.step(None, &[Token(3), Token(4)]) else {
        panic!("both are back");
    };
    let suspect: Vec<_> = leases.iter().map(|it| (it.batch.suspect, it.batch.attempt)).collect();
    assert_eq!(suspect, [(false, 0), (true, 1)]);
}

#[test]
fn a_lease_that_was_given_back_goes_to_who_has_none() {
    let (mut dispatcher, _) = dispatcher(2, &[b"a", b"b"]);
    dispatcher.wants(0, 0, &[1, 2]);
    dispatcher.is_over();
    dispatcher.wants(1, 0, &[3]);
    dispatcher.is_over();
    assert!(dispatcher.told(0).contains(&ToWorker::Wanted { tasks: true, lock: false }));
    assert_eq!((dispatcher.told(1), dispatcher.idle_seats()), (vec![], 1));
    // Not one that it does not have.
    dispatcher.says(0, ToParent::Release { seat: 0, token: Token(7), why: Release::Unstarted });
    dispatcher.says(0, ToParent::Release { seat: 0, token: Token(2), why: Release::Unstarted });
    dispatcher.is_over();
    assert_eq!((leased(&dispatcher.told(1)), dispatcher.idle_seats()), (vec![b"b".to_vec()], 0));
    assert!(dispatcher.holds_leases(0) && dispatcher.holds_leases(1));
}

#[test]
fn the_lock_is_given_in_the_order_of_the_questions() {
    let (mut dispatcher, _) = dispatcher(3, &[b"a", b"b", b"c"]);
    for line in 0..3 {
        dispatcher.wants(line, 0, &[line as u128 + 1]);
    }
    dispatcher.is_over();
    for line in [1, 2, 0] {
        dispatcher.told(line);
        dispatcher.asks_for_lock(line, line as u128 + 1);
    }
    let held = ToWorker::Lock { seat: 0, lock: Lock::Held };
    for line in [1, 2, 0] {
        dispatcher.is_over();
        for other in 0..3 {
            let told = dispatcher.told(other);
            assert_eq!(told.contains(&held), other == line, "worker {other}: {told:?}");
        }
        // What ends the lease lets the lock go, whatever it was.
        match line {
            1 => dispatcher.delivers(line, 0, Commit::new(Token(2))),
            2 => dispatcher.close(line, &crash()).expect("memory does not fail"),
            _ => {}
        }
        if line == 2 {
            dispatcher.open(line, 2);
        }
    }
    dispatcher.asks_for_lock(1, 2);
    assert_eq!(dispatcher.told(1), [ToWorker::Lock { seat: 0, lock: Lock::Lost }]);
}

#[test]
fn that_others_wait_is_told_once_a_commit() {
    let (mut dispatcher, _) = dispatcher(2, &[b"a"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.is_over();
    dispatcher.told(0);
    dispatcher.wants(1, 0, &[2]);
    let wanted = [ToWorker::Wanted { tasks: true, lock: false }];
    for expected in [&wanted[..], &[], &[]] {
        dispatcher.is_over();
        assert_eq!(dispatcher.told(0), expected);
        assert_eq!(dispatcher.told(1), [], "who has no tasks is not asked for any");
    }
    let keep = Some(Lease { token: Token(3), batch: batch(b"a") });
    dispatcher.delivers(0, 0, Commit { successor: keep, ..Commit::new(Token(1)) });
    for expected in
        [&[ToWorker::Committed { seat: 0, token: Token(1) }, wanted[0].clone()][..], &[]]
    {
        dispatcher.is_over();
        assert_eq!(dispatcher.told(0), expected);
    }
}

#[test]
fn a_second_lease_comes_only_where_nobody_has_none() {
    let (mut dispatcher, broker) = dispatcher(2, &[b"a", b"b", b"c"]);
    dispatcher.set_startable(1);
    dispatcher.wants(0, 0, &[1, 2]);
    dispatcher.is_over();
    assert_eq!(
        leased(&dispatcher.told(0)),
        [b"a", b"b"],
        "one is left for a worker that could be started"
    );
    dispatcher.set_startable(0);
    dispatcher.wants(1, 0, &[3]);
    dispatcher.is_over();
    assert_eq!((leased(&dispatcher.told(1)), now(&broker).queued), (vec![b"c".to_vec()], 0));
}

#[test]
fn a_drain_gives_out_nothing_more() {
    let (mut dispatcher, broker) = dispatcher(2, &[b"a", b"b"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.is_over();
    dispatcher.told(0);
    dispatcher.drain();
    dispatcher.wants(1, 0, &[2]);
    dispatcher.delivers(0, 0, Commit::new(Token(1)));
    assert!(!dispatcher.is_over());
    assert_eq!(
        dispatcher.told(0),
        [ToWorker::Drain, ToWorker::Committed { seat: 0, token: Token(1) }]
    );
    assert_eq!((dispatcher.told(1), now(&broker).queued), (vec![ToWorker::Drain], 1));
}

#[test]
fn what_is_read_and_renewed_is_answered() {
    let (mut dispatcher, _) = dispatcher(1, &[b"a"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.is_over();
    dispatcher.told(0);
    dispatcher.says(0, read(5));
    dispatcher.says(0, ToParent::Renew(vec![Token(1)]));
    dispatcher.says(0, ToParent::Renew(vec![Token(1), Token(5)]));
    let told = [ToWorker::Read { seat: 0, read: Read::Lost }, ToWorker::Gone(vec![Token(5)])];
    assert_eq!(dispatcher.told(0), told);
    dispatcher.says(0, ToParent::Broken("first".into()));
    dispatcher.says(0, ToParent::Broken("second".into()));
    assert_eq!(dispatcher.take_broken().as_deref(), Some("first"));
}

#[test]
fn a_stale_write_is_told_and_its_lease_stays() {
    let (mut dispatcher, _) = dispatcher(1, &[b"a"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.is_over();
    dispatcher.told(0);
    dispatcher.delivers(0, 0, Commit { writes: vec![write(4)], ..Commit::new(Token(1)) });
    let told = dispatcher.told(0);
    let [ToWorker::Conflict { seat: 0, token: Token(1), conflict }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((conflict.entries.len(), conflict.entries[0].version), (1, 0));
    dispatcher.delivers(0, 0, Commit { writes: vec![write(0)], ..Commit::new(Token(1)) });
    assert_eq!(dispatcher.told(0), [ToWorker::Committed { seat: 0, token: Token(1) }]);
    assert!(dispatcher.is_over());
}

/// Also one that claims to have killed as many as can be counted.
#[test]
fn a_task_that_kills_its_workers_is_called_what_they_have_called_it() {
    let (mut dispatcher, broker) = dispatcher(1, &[b"a"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.is_over();
    let deadly = |crashes, task| Batch { suspect: true, crashes, ..batch(task) };
    let posts = vec![deadly(1, b"once"), deadly(u32::MAX, b"always")];
    dispatcher.delivers(0, 0, Commit { posts, ..Commit::new(Token(1)) });
    for token in [2, 3, 4] {
        dispatcher.wants(0, 0, &[token]);
        dispatcher.is_over();
        let label = format!("task {token}");
        dispatcher.says(0, ToParent::Suspect { token: Token(token), label, data: None });
        dispatcher.close(0, &crash()).expect("memory does not fail");
        dispatcher.open(0, 1);
    }
    assert!(dispatcher.is_over());
    assert_eq!(now(&broker).crashed, 2);
    let mut killers = dispatcher.into_killers();
    killers.sort_by(|a, b| a.task.cmp(&b.task));
    let names: Vec<_> =
        killers.iter().map(|it| (&it.task[..], it.dead, it.failure.label())).collect();
    assert_eq!(names, [(&b"always"[..], 1, "task 4"), (b"once", 1, "task 3")]);
}

/// What worker 0 is leased next, told from its bytes.
fn next_lease(dispatcher: &mut Dispatcher, token: u128) -> Batch {
    dispatcher.wants(0, 0, &[token]);
    dispatcher.is_over();
    let told = dispatcher.told(0);
    let [ToWorker::Leased { leases, .. }] = &told[..] else { panic!("{told:?}") };
    leases[0].batch.clone()
}

#[test]
fn who_dies_beside_others_is_suspected_with_them_and_nobody_is_charged() {
    let (mut dispatcher, _) = dispatcher(1, &[b"a", b"b", b"c"]);
    dispatcher.wants(0, 0, &[1, 2]);
    dispatcher.wants(0, 1, &[3]);
    dispatcher.is_over();
    dispatcher.close(0, &crash()).expect("memory does not fail");
    dispatcher.open(0, 2);
    dispatcher.told(0);
    // The lease in advance was not started.
    let suspect = |task| Batch { attempt: 1, suspect: true, ..batch(task) };
    for (token, back) in [(4, batch(b"c")), (5, suspect(b"a")), (6, suspect(b"b"))] {
        assert_eq!(next_lease(&mut dispatcher, token), back);
        dispatcher.delivers(0, 0, Commit::new(Token(token)));
        dispatcher.told(0);
    }
    assert!(dispatcher.is_over());
}

#[test]
fn a_suspect_that_runs_is_alone_to_blame() {
    let (mut dispatcher, broker) = dispatcher(1, &[b"a"]);
    let suspect = Batch { suspect: true, crashes: 2, ..batch(b"deadly") };
    dispatcher.wants(0, 0, &[1]);
    dispatcher.is_over();
    let posts = vec![batch(b"b"), suspect];
    dispatcher.delivers(0, 0, Commit { posts, ..Commit::new(Token(1)) });
    dispatcher.wants(0, 0, &[2]);
    dispatcher.wants(0, 1, &[3]);
    dispatcher.is_over();
    dispatcher.told(0);
    // Whichever seat has got it: it has begun, so the other one waits for its end.
    for token in [2, 3] {
        dispatcher
            .says(0, ToParent::Suspect { token: Token(token), label: "deadly".into(), data: None });
    }
    dispatcher.close(0, &crash()).expect("memory does not fail");
    assert_eq!(now(&broker).crashed, 1);
    dispatcher.open(0, 2);
    assert_eq!(next_lease(&mut dispatcher, 4), batch(b"b"));
}

#[test]
fn a_task_whose_workers_are_killed_each_time_is_dead_in_the_end() {
    let (mut dispatcher, broker) = dispatcher(1, &[b"a"]);
    for attempt in 0..=MOST_INTERRUPTIONS {
        let batch = next_lease(&mut dispatcher, u128::from(attempt));
        assert_eq!((batch.attempt, batch.suspect), (attempt, false));
        let label = "unlucky".to_string();
        dispatcher.says(0, ToParent::Suspect { token: Token(attempt.into()), label, data: None });
        dispatcher.close(0, &kill()).expect("memory does not fail");
        dispatcher.open(0, 2);
    }
    assert!(dispatcher.is_over());
    assert_eq!((now(&broker).crashed, dispatcher.judged()), (1, 0));
    let killers = dispatcher.into_killers();
    assert_eq!((killers.len(), killers[0].dead), (1, 1));
    let expected =
        "unlucky: its workers were killed from outside or lost their lease 21 times: it was killed";
    assert_eq!(killers[0].failure.to_string(), expected);
}

#[test]
fn a_task_that_is_lost_before_it_begins_is_called_what_it_was_called_before() {
    let (mut dispatcher, _) = dispatcher(1, &[b"a"]);
    for attempt in 0..=MOST_INTERRUPTIONS {
        next_lease(&mut dispatcher, u128::from(attempt));
        if attempt == 3 {
            let label = "known".to_string();
            dispatcher
                .says(0, ToParent::Suspect { token: Token(attempt.into()), label, data: None });
        }
        dispatcher.close(0, &kill()).expect("memory does not fail");
        dispatcher.open(0, 2);
    }
    let killers = dispatcher.into_killers();
    assert_eq!((killers[0].failure.label(), killers[0].dead), ("known", 1));
}

/// A suspect is judged before another one is tried, and ordinary tasks come before both.
#[test]
fn suspects_are_judged_one_after_the_other() {
    let (mut dispatcher, broker) = dispatcher(1, &[b"a"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.is_over();
    dispatcher.told(0);
    let posts = vec![
        Batch { suspect: true, ..batch(b"s") },
        Batch { suspect: true, ..batch(b"t") },
        batch(b"b"),
    ];
    dispatcher.delivers(0, 0, Commit { posts, ..Commit::new(Token(1)) });
    dispatcher.told(0);
    let mut order = Vec::new();
    for token in 2..9 {
        let batch = next_lease(&mut dispatcher, token);
        let task = batch.tasks.iter().next().unwrap().unwrap().to_vec();
        order.push((task[0], batch.crashes));
        if batch.suspect {
            dispatcher
                .says(0, ToParent::Suspect { token: Token(token), label: "s".into(), data: None });
            dispatcher.close(0, &crash()).expect("memory does not fail");
            dispatcher.open(0, 2);
        } else {
            dispatcher.delivers(0, 0, Commit::new(Token(token)));
            dispatcher.told(0);
        }
    }
    let expected = [(b'b', 0), (b's', 0), (b's', 1), (b's', 2), (b't', 0), (b't', 1), (b't', 2)];
    assert_eq!(order, expected);
    assert!(dispatcher.is_over());
    assert_eq!((now(&broker).crashed, dispatcher.judged()), (2, 6));
}

/// Two seats run, and the worker says that it ends because of the second.
#[test]
fn a_worker_that_names_the_lease_it_dies_of_interrupts_the_others() {
    for (seat, expected) in [(Some(1), [false, true]), (None, [false, false])] {
        let (mut dispatcher, broker) = dispatcher(1, &[b"a", b"b"]);
        dispatcher.wants(0, 0, &[1]);
        dispatcher.wants(0, 1, &[2]);
        dispatcher.is_over();
        dispatcher.says(0, ToParent::Dying { seat, why: "a handler ran for too long".into() });
        dispatcher.close(0, &crash()).expect("memory does not fail");
        let Ok(Step::Leased(mut leases, _)) = broker.step(None, &[Token(3), Token(4)]) else {
            panic!("both are back")
        };
        leases.sort_by_key(|lease| lease.batch.tasks.iter().next().unwrap().unwrap().to_vec());
        let suspects: Vec<_> = leases.iter().map(|it| it.batch.suspect).collect();
        let interruptions: Vec<_> = leases.iter().map(|it| it.batch.interruptions == 1).collect();
        assert_eq!(suspects, expected, "{seat:?}");
        assert_eq!(interruptions, expected.map(|suspect| !suspect), "{seat:?}");
    }
}

/// It says so of a suspect that it has not begun with: reading it may be what it dies of.
#[test]
fn what_a_dying_worker_says_is_told_of_the_task() {
    let (mut dispatcher, _) = dispatcher(1, &[b"a"]);
    dispatcher.wants(0, 0, &[1]);
    dispatcher.is_over();
    let posts = vec![Batch { suspect: true, crashes: 2, ..batch(b"deadly") }];
    dispatcher.delivers(0, 0, Commit { posts, ..Commit::new(Token(1)) });
    dispatcher.wants(0, 0, &[2]);
    dispatcher.is_over();
    dispatcher.says(0, ToParent::Dying { seat: Some(0), why: "it ran for 3 s".into() });
    dispatcher.says(0, ToParent::Dying { seat: None, why: "something else".into() });
    dispatcher.close(0, &kill()).expect("memory does not fail");
    let killers = dispatcher.into_killers();
    assert_eq!(killers[0].failure.to_string(), "a task: killed its worker 3 times: it ran for 3 s");
}
