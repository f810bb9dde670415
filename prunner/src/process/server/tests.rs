//! Workers that are only frames: what the parent answers to each, and what becomes of what they held.

mod room;

use super::*;
use crate::{
    Order,
    broker::{Blob, Encoded, Lease, MOST_INTERRUPTIONS, MemoryBroker, Read, Tasks, Watched, Write},
    codec::Bytes,
    process::{death::Blame, wire::Inbox},
};

fn blob(task: &[u8]) -> Blob {
    Blob { tasks: Tasks::one(task), ..Blob::default() }
}

/// A server with so many workers of two seats each, before a broker with these tasks.
fn server(workers: usize, tasks: &[&[u8]]) -> (Server, Arc<dyn Broker>) {
    let first = tasks.iter().map(|task| blob(task)).collect();
    let broker: Arc<dyn Broker> =
        Arc::new(MemoryBroker::new(Duration::from_secs(3600), Order::Fifo, first));
    let mut server = Server::new(Arc::clone(&broker), POLICY);
    for line in 0..workers {
        server.open(line, 2);
        server.wants(line, 0, &[]);
    }
    (server, broker)
}

fn crash() -> Death {
    Death::new("it aborted", Blame::Tasks)
}

fn kill() -> Death {
    Death::new("it was killed", Blame::Outside)
}

const POLICY: Policy =
    Policy { lease: Duration::from_secs(3600), max_interruptions: MOST_INTERRUPTIONS };

impl Server {
    /// What a worker was told since it was last asked.
    fn told(&mut self, line: usize) -> Vec<Down> {
        let out = std::mem::take(self.outbox(line).expect("the line is open"));
        let (mut from, mut inbox, mut told) = (&out[..], Inbox::default(), Vec::new());
        while inbox.read_from(&mut from).expect("memory does not fail") > 0 {
            while let Some(down) = inbox.next().expect("these are frames") {
                told.push(down);
            }
        }
        told
    }

    fn says(&mut self, line: usize, up: Up) {
        self.handle(line, up).expect("it is within the protocol");
    }

    fn wants(&mut self, line: usize, seat: u16, tokens: &[u128]) {
        let want = tokens.iter().copied().map(Token).collect();
        self.says(line, Up::Step { seat, commit: None, want });
    }

    fn delivers(&mut self, line: usize, seat: u16, commit: Commit) {
        self.says(line, Up::Step { seat, commit: Some(commit), want: Vec::new() });
    }

    fn asks_for_lock(&mut self, line: usize, token: u128) {
        self.says(line, Up::Lock { seat: 0, token: Token(token) });
    }

    fn is_over(&mut self) -> bool {
        self.pump().expect("memory does not fail")
    }

    fn refuses(&mut self, line: usize, up: Up) -> String {
        match self.handle(line, up) {
            Err(ServeError::Protocol(why)) => why,
            other => panic!("{other:?} instead of a breach of the protocol"),
        }
    }
}

fn now(broker: &Arc<dyn Broker>) -> Watched {
    broker.watch(0, Duration::ZERO).expect("memory does not fail")
}

/// The tasks of the leases among what was told.
fn leased(told: &[Down]) -> Vec<Vec<u8>> {
    let leases = told.iter().flat_map(|down| match down {
        Down::Leased { leases, .. } => leases.clone(),
        _ => Vec::new(),
    });
    let tasks = leases.flat_map(|lease| {
        let tasks = lease.blob.tasks.iter().map(|task| task.expect("it is whole").to_vec());
        tasks.collect::<Vec<_>>()
    });
    tasks.collect()
}

fn write(version: u64) -> Write {
    let value = Some(Encoded { type_name: "u64".into(), bytes: Bytes(vec![1]) });
    Write { key: "k".into(), version, value }
}

fn read(token: u128) -> Up {
    Up::Read { seat: 0, token: Token(token), key: "k".into(), known: 0 }
}

#[test]
fn what_makes_no_sense_is_a_breach_of_the_protocol() {
    let (mut server, _) = server(1, &[b"a"]);
    for up in [Up::Ready, Up::Refused("no".into()), Up::Unable("no".into())] {
        assert_eq!(server.refuses(0, up), "it says hello in the middle of a run");
    }
    let commit = || Some(Commit::new(Token(1)));
    let unknown = [
        Up::Posts { seat: 2, blobs: Vec::new() },
        Up::Step { seat: 2, commit: None, want: Vec::new() },
        Up::Step { seat: 2, commit: commit(), want: Vec::new() },
        Up::Lock { seat: 2, token: Token(1) },
        Up::Read { seat: 2, token: Token(1), key: "k".into(), known: 0 },
        Up::Release { seat: 2, token: Token(1), why: Release::Crashed },
    ];
    for up in unknown {
        assert_eq!(server.refuses(0, up), "it has no seat 2");
    }
    assert_eq!(server.refuses(1, Up::Lock { seat: 0, token: Token(1) }), "it has no seat 0");
    assert_eq!(server.told(0), []);
}

#[test]
fn nobody_wants_more_than_a_few_leases_at_once() {
    let (mut server, _) = server(1, &[]);
    let wants = |tokens: std::ops::Range<u128>| Up::Step {
        seat: 0,
        commit: None,
        want: tokens.map(Token).collect(),
    };
    server.says(0, wants(0..MOST_WANTED as u128));
    assert_eq!(server.refuses(0, wants(9..10)), "it asks before it was answered");
}

/// Worker 0 holds the lock and has read what worker 1 has written and not committed.
fn commit_that_waits() -> (Server, Arc<dyn Broker>) {
    let (mut server, broker) = server(2, &[b"a", b"b"]);
    server.wants(0, 0, &[1]);
    server.wants(1, 0, &[2]);
    server.is_over();
    server.asks_for_lock(0, 1);
    server.says(0, read(1));
    server.says(1, Up::Posts { seat: 0, blobs: vec![blob(b"ahead")] });
    let commit =
        Commit { writes: vec![write(0)], posts: vec![blob(b"with it")], ..Commit::new(Token(2)) };
    server.delivers(1, 0, commit);
    server.told(0);
    assert_eq!(leased(&server.told(1)), [b"b"]);
    (server, broker)
}

#[test]
fn a_commit_waits_for_the_lock_and_its_worker_for_the_commit() {
    let (mut server, broker) = commit_that_waits();
    assert!(!server.is_over());
    assert_eq!(server.told(1), [], "it waits");
    let again = Up::Step { seat: 0, commit: Some(Commit::new(Token(2))), want: Vec::new() };
    assert_eq!(server.refuses(1, again), "it asks before it was answered");
    server.delivers(0, 0, Commit::new(Token(1)));
    assert!(!server.is_over());
    assert_eq!(server.told(1), [Down::Committed { seat: 0, token: Token(2) }]);
    assert_eq!(now(&broker).queued, 2, "what was posted ahead of the commit, and with it");
}

#[test]
fn who_dies_while_its_commit_waits_has_not_committed() {
    let (mut server, broker) = commit_that_waits();
    server.close(1, &crash()).expect("memory does not fail");
    assert_eq!(now(&broker).queued, 1, "its task is back");
    server.delivers(0, 0, Commit::new(Token(1)));
    server.wants(0, 0, &[3, 4]);
    assert!(!server.is_over());
    assert_eq!(
        leased(&server.told(0)),
        [b"b"],
        "its task is back, and what it has posted is not there"
    );
    server.delivers(0, 0, Commit::new(Token(3)));
    assert!(server.is_over());
    let outcome = broker.outcome().expect("memory does not fail");
    assert_eq!((outcome.entries.len(), outcome.returned), (0, 0));
}

#[test]
fn posts_belong_to_the_next_commit_of_their_seat_or_to_nothing() {
    let (mut server, broker) = server(1, &[b"a", b"b"]);
    server.wants(0, 0, &[1]);
    server.wants(0, 1, &[2]);
    server.is_over();
    for (seat, task) in [(0, b"p"), (0, b"q"), (1, b"r")] {
        server.says(0, Up::Posts { seat, blobs: vec![blob(task)] });
    }
    assert_eq!(now(&broker).queued, 0, "nothing is there before its commit");
    server.delivers(0, 0, Commit { posts: vec![blob(b"s")], ..Commit::new(Token(1)) });
    assert_eq!(now(&broker).queued, 3);
    server.delivers(0, 0, Commit::new(Token(9)));
    assert_eq!(server.told(0).last(), Some(&Down::Lost { seat: 0, token: Token(9) }));
    server.close(0, &crash()).expect("memory does not fail");
    server.open(0, 2);
    server.wants(0, 0, &[10, 11]);
    server.wants(0, 1, &[12, 13]);
    server.is_over();
    assert_eq!(leased(&server.told(0)), [b"p", b"q", b"s", b"b"], "all but r");
}

/// It may be stopped; then the others go on without it.
#[test]
fn the_turn_of_a_worker_that_does_not_come_again_ends() {
    let (mut server, broker) = server(2, &[b"a", b"b"]);
    server.wants(0, 0, &[1]);
    server.wants(1, 0, &[2]);
    server.is_over();
    server.delivers(0, 0, Commit { writes: vec![write(4)], ..Commit::new(Token(1)) });
    server.delivers(1, 0, Commit { writes: vec![write(0)], ..Commit::new(Token(2)) });
    assert!(server.is_in_turn(), "another commit comes first");
    let started = Instant::now();
    while broker.outcome().expect("memory does not fail").entries.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60), "the turn does not end");
        server.is_over();
    }
    assert!(!server.is_in_turn());
    assert_eq!(server.told(1).last(), Some(&Down::Committed { seat: 0, token: Token(2) }));
}

#[test]
fn writes_that_come_ahead_belong_to_the_next_commit_of_their_seat() {
    let (mut server, broker) = server(1, &[b"a", b"b"]);
    server.wants(0, 0, &[1]);
    server.wants(0, 1, &[2]);
    server.is_over();
    let named = |key: &str| Write { key: key.into(), ..write(0) };
    server.says(0, Up::Writes { seat: 0, writes: vec![named("ahead"), named("second")] });
    server.says(0, Up::Writes { seat: 1, writes: vec![named("never")] });
    let keys = || {
        let entries = broker.outcome().expect("memory does not fail").entries;
        entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(), [""; 0], "nothing is there before its commit");
    server.delivers(0, 0, Commit { writes: vec![named("with it")], ..Commit::new(Token(1)) });
    server.close(0, &crash()).expect("memory does not fail");
    assert_eq!(keys(), ["ahead", "second", "with it"]);
}

/// Each of them may fill a frame, and all of them are stale.
#[test]
fn a_conflict_is_told_in_parts_that_fit_a_frame() {
    let (mut server, broker) = server(2, &[b"a", b"b"]);
    server.wants(0, 0, &[1]);
    server.wants(1, 0, &[2]);
    server.is_over();
    let value = |byte| Some(Encoded { type_name: "b".into(), bytes: Bytes(vec![byte; 12 << 20]) });
    let write = |key: u8, byte| Write { key: key.to_string(), version: 0, value: value(byte) };
    let all = |byte| (0..5).map(|key| write(key, byte)).collect::<Vec<_>>();
    server.delivers(0, 0, Commit { writes: all(0), ..Commit::new(Token(1)) });
    server.told(1);
    let mut writes = all(1);
    let mut answers = 0;
    loop {
        server.delivers(1, 0, Commit { writes: writes.clone(), ..Commit::new(Token(2)) });
        answers += 1;
        match &server.told(1)[..] {
            [Down::Conflict { conflict, .. }] => {
                assert!((1..=2).contains(&conflict.entries.len()), "{}", conflict.entries.len());
                for entry in &conflict.entries {
                    let write = writes.iter_mut().find(|write| write.key == entry.key);
                    write.expect("it was written").version = entry.version;
                }
            }
            told => {
                assert_eq!(told, [Down::Committed { seat: 0, token: Token(2) }]);
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
    let (mut server, broker) = server(1, &[b"a", b"b"]);
    server.wants(0, 0, &[1, 2]);
    server.is_over();
    assert_eq!(leased(&server.told(0)), [b"a", b"b"]);
    server.close(0, &crash()).expect("memory does not fail");
    let Ok(Step::Leased(leases, _)) = broker.step(None, &[Token(3), Token(4)]) else {
        panic!("both are back");
    };
    let suspect: Vec<_> = leases.iter().map(|it| (it.blob.suspect, it.blob.attempt)).collect();
    assert_eq!(suspect, [(false, 0), (true, 1)]);
}

#[test]
fn a_lease_that_was_given_back_goes_to_who_has_none() {
    let (mut server, _) = server(2, &[b"a", b"b"]);
    server.wants(0, 0, &[1, 2]);
    server.is_over();
    server.wants(1, 0, &[3]);
    server.is_over();
    assert!(server.told(0).contains(&Down::Wanted { tasks: true, lock: false }));
    assert_eq!((server.told(1), server.idle_seats()), (vec![], 1));
    // Not one that it does not have.
    server.says(0, Up::Release { seat: 0, token: Token(7), why: Release::Unstarted });
    server.says(0, Up::Release { seat: 0, token: Token(2), why: Release::Unstarted });
    server.is_over();
    assert_eq!((leased(&server.told(1)), server.idle_seats()), (vec![b"b".to_vec()], 0));
    assert!(server.holds_leases(0) && server.holds_leases(1));
}

#[test]
fn the_lock_is_given_in_the_order_of_the_questions() {
    let (mut server, _) = server(3, &[b"a", b"b", b"c"]);
    for line in 0..3 {
        server.wants(line, 0, &[line as u128 + 1]);
    }
    server.is_over();
    for line in [1, 2, 0] {
        server.told(line);
        server.asks_for_lock(line, line as u128 + 1);
    }
    let held = Down::Lock { seat: 0, lock: Lock::Held };
    for line in [1, 2, 0] {
        server.is_over();
        for other in 0..3 {
            let told = server.told(other);
            assert_eq!(told.contains(&held), other == line, "worker {other}: {told:?}");
        }
        // What ends the lease lets the lock go, whatever it was.
        match line {
            1 => server.delivers(line, 0, Commit::new(Token(2))),
            2 => server.close(line, &crash()).expect("memory does not fail"),
            _ => {}
        }
        if line == 2 {
            server.open(line, 2);
        }
    }
    server.asks_for_lock(1, 2);
    assert_eq!(server.told(1), [Down::Lock { seat: 0, lock: Lock::Lost }]);
}

#[test]
fn that_others_wait_is_told_once_a_commit() {
    let (mut server, _) = server(2, &[b"a"]);
    server.wants(0, 0, &[1]);
    server.is_over();
    server.told(0);
    server.wants(1, 0, &[2]);
    let wanted = [Down::Wanted { tasks: true, lock: false }];
    for expected in [&wanted[..], &[], &[]] {
        server.is_over();
        assert_eq!(server.told(0), expected);
        assert_eq!(server.told(1), [], "who has no tasks is not asked for any");
    }
    let keep = Some(Lease { token: Token(3), blob: blob(b"a") });
    server.delivers(0, 0, Commit { keep, ..Commit::new(Token(1)) });
    for expected in [&[Down::Committed { seat: 0, token: Token(1) }, wanted[0].clone()][..], &[]] {
        server.is_over();
        assert_eq!(server.told(0), expected);
    }
}

#[test]
fn a_second_lease_comes_only_where_nobody_has_none() {
    let (mut server, broker) = server(2, &[b"a", b"b", b"c"]);
    server.set_reserve(1);
    server.wants(0, 0, &[1, 2]);
    server.is_over();
    assert_eq!(
        leased(&server.told(0)),
        [b"a", b"b"],
        "one is left for a worker that could be started"
    );
    server.set_reserve(0);
    server.wants(1, 0, &[3]);
    server.is_over();
    assert_eq!((leased(&server.told(1)), now(&broker).queued), (vec![b"c".to_vec()], 0));
}

#[test]
fn a_drain_gives_out_nothing_more() {
    let (mut server, broker) = server(2, &[b"a", b"b"]);
    server.wants(0, 0, &[1]);
    server.is_over();
    server.told(0);
    server.drain();
    server.wants(1, 0, &[2]);
    server.delivers(0, 0, Commit::new(Token(1)));
    assert!(!server.is_over());
    assert_eq!(server.told(0), [Down::Drain, Down::Committed { seat: 0, token: Token(1) }]);
    assert_eq!((server.told(1), now(&broker).queued), (vec![Down::Drain], 1));
}

#[test]
fn what_is_read_and_renewed_is_answered() {
    let (mut server, _) = server(1, &[b"a"]);
    server.wants(0, 0, &[1]);
    server.is_over();
    server.told(0);
    server.says(0, read(5));
    server.says(0, Up::Renew(vec![Token(1)]));
    server.says(0, Up::Renew(vec![Token(1), Token(5)]));
    let told = [Down::Read { seat: 0, read: Read::Lost }, Down::Gone(vec![Token(5)])];
    assert_eq!(server.told(0), told);
    server.says(0, Up::Broken("first".into()));
    server.says(0, Up::Broken("second".into()));
    assert_eq!(server.take_broken().as_deref(), Some("first"));
}

#[test]
fn a_stale_write_is_told_and_its_lease_stays() {
    let (mut server, _) = server(1, &[b"a"]);
    server.wants(0, 0, &[1]);
    server.is_over();
    server.told(0);
    server.delivers(0, 0, Commit { writes: vec![write(4)], ..Commit::new(Token(1)) });
    let told = server.told(0);
    let [Down::Conflict { seat: 0, token: Token(1), conflict }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((conflict.entries.len(), conflict.entries[0].version), (1, 0));
    server.delivers(0, 0, Commit { writes: vec![write(0)], ..Commit::new(Token(1)) });
    assert_eq!(server.told(0), [Down::Committed { seat: 0, token: Token(1) }]);
    assert!(server.is_over());
}

/// Also one that claims to have killed as many as can be counted.
#[test]
fn a_task_that_kills_its_workers_is_called_what_they_have_called_it() {
    let (mut server, broker) = server(1, &[b"a"]);
    server.wants(0, 0, &[1]);
    server.is_over();
    let deadly = |crashes, task| Blob { suspect: true, crashes, ..blob(task) };
    let posts = vec![deadly(1, b"once"), deadly(u32::MAX, b"always")];
    server.delivers(0, 0, Commit { posts, ..Commit::new(Token(1)) });
    for token in [2, 3, 4] {
        server.wants(0, 0, &[token]);
        server.is_over();
        let label = format!("task {token}");
        server.says(0, Up::Suspect { token: Token(token), label, data: None });
        server.close(0, &crash()).expect("memory does not fail");
        server.open(0, 1);
    }
    assert!(server.is_over());
    assert_eq!(now(&broker).crashed, 2);
    let mut killers = server.into_killers();
    killers.sort_by(|a, b| a.task.cmp(&b.task));
    let names: Vec<_> =
        killers.iter().map(|it| (&it.task[..], it.dead, it.failure.label())).collect();
    assert_eq!(names, [(&b"always"[..], 1, "task 4"), (b"once", 1, "task 3")]);
}

/// What worker 0 is leased next, told from its bytes.
fn next_lease(server: &mut Server, token: u128) -> Blob {
    server.wants(0, 0, &[token]);
    server.is_over();
    let told = server.told(0);
    let [Down::Leased { leases, .. }] = &told[..] else { panic!("{told:?}") };
    leases[0].blob.clone()
}

#[test]
fn who_dies_beside_others_is_suspected_with_them_and_nobody_is_charged() {
    let (mut server, _) = server(1, &[b"a", b"b", b"c"]);
    server.wants(0, 0, &[1, 2]);
    server.wants(0, 1, &[3]);
    server.is_over();
    server.close(0, &crash()).expect("memory does not fail");
    server.open(0, 2);
    server.told(0);
    // The lease in advance was not started.
    let suspect = |task| Blob { attempt: 1, suspect: true, ..blob(task) };
    for (token, back) in [(4, blob(b"c")), (5, suspect(b"a")), (6, suspect(b"b"))] {
        assert_eq!(next_lease(&mut server, token), back);
        server.delivers(0, 0, Commit::new(Token(token)));
        server.told(0);
    }
    assert!(server.is_over());
}

#[test]
fn a_suspect_that_runs_is_alone_to_blame() {
    let (mut server, broker) = server(1, &[b"a"]);
    let suspect = Blob { suspect: true, crashes: 2, ..blob(b"deadly") };
    server.wants(0, 0, &[1]);
    server.is_over();
    let posts = vec![blob(b"b"), suspect];
    server.delivers(0, 0, Commit { posts, ..Commit::new(Token(1)) });
    server.wants(0, 0, &[2]);
    server.wants(0, 1, &[3]);
    server.is_over();
    server.told(0);
    // Whichever seat has got it: it has begun, so the other one waits for its end.
    for token in [2, 3] {
        server.says(0, Up::Suspect { token: Token(token), label: "deadly".into(), data: None });
    }
    server.close(0, &crash()).expect("memory does not fail");
    assert_eq!(now(&broker).crashed, 1);
    server.open(0, 2);
    assert_eq!(next_lease(&mut server, 4), blob(b"b"));
}

#[test]
fn a_task_whose_workers_are_killed_each_time_is_dead_in_the_end() {
    let (mut server, broker) = server(1, &[b"a"]);
    for attempt in 0..=MOST_INTERRUPTIONS {
        let blob = next_lease(&mut server, u128::from(attempt));
        assert_eq!((blob.attempt, blob.suspect), (attempt, false));
        let label = "unlucky".to_string();
        server.says(0, Up::Suspect { token: Token(attempt.into()), label, data: None });
        server.close(0, &kill()).expect("memory does not fail");
        server.open(0, 2);
    }
    assert!(server.is_over());
    assert_eq!((now(&broker).crashed, server.judged()), (1, 0));
    let killers = server.into_killers();
    assert_eq!((killers.len(), killers[0].dead), (1, 1));
    let expected =
        "unlucky: its workers were killed from outside or lost their lease 21 times: it was killed";
    assert_eq!(killers[0].failure.to_string(), expected);
}

#[test]
fn a_task_that_is_lost_before_it_begins_is_called_what_it_was_called_before() {
    let (mut server, _) = server(1, &[b"a"]);
    for attempt in 0..=MOST_INTERRUPTIONS {
        next_lease(&mut server, u128::from(attempt));
        if attempt == 3 {
            let label = "known".to_string();
            server.says(0, Up::Suspect { token: Token(attempt.into()), label, data: None });
        }
        server.close(0, &kill()).expect("memory does not fail");
        server.open(0, 2);
    }
    let killers = server.into_killers();
    assert_eq!((killers[0].failure.label(), killers[0].dead), ("known", 1));
}

/// A suspect is judged before another one is tried, and ordinary tasks come before both.
#[test]
fn suspects_are_judged_one_after_the_other() {
    let (mut server, broker) = server(1, &[b"a"]);
    server.wants(0, 0, &[1]);
    server.is_over();
    server.told(0);
    let posts = vec![
        Blob { suspect: true, ..blob(b"s") },
        Blob { suspect: true, ..blob(b"t") },
        blob(b"b"),
    ];
    server.delivers(0, 0, Commit { posts, ..Commit::new(Token(1)) });
    server.told(0);
    let mut order = Vec::new();
    for token in 2..9 {
        let blob = next_lease(&mut server, token);
        let task = blob.tasks.iter().next().unwrap().unwrap().to_vec();
        order.push((task[0], blob.crashes));
        if blob.suspect {
            server.says(0, Up::Suspect { token: Token(token), label: "s".into(), data: None });
            server.close(0, &crash()).expect("memory does not fail");
            server.open(0, 2);
        } else {
            server.delivers(0, 0, Commit::new(Token(token)));
            server.told(0);
        }
    }
    let expected = [(b'b', 0), (b's', 0), (b's', 1), (b's', 2), (b't', 0), (b't', 1), (b't', 2)];
    assert_eq!(order, expected);
    assert!(server.is_over());
    assert_eq!((now(&broker).crashed, server.judged()), (2, 6));
}

/// Two seats run, and the worker says that it ends because of the second.
#[test]
fn a_worker_that_names_the_lease_it_dies_of_interrupts_the_others() {
    for (seat, expected) in [(Some(1), [false, true]), (None, [false, false])] {
        let (mut server, broker) = server(1, &[b"a", b"b"]);
        server.wants(0, 0, &[1]);
        server.wants(0, 1, &[2]);
        server.is_over();
        server.says(0, Up::Dying { seat, why: "a handler ran for too long".into() });
        server.close(0, &crash()).expect("memory does not fail");
        let Ok(Step::Leased(mut leases, _)) = broker.step(None, &[Token(3), Token(4)]) else {
            panic!("both are back")
        };
        leases.sort_by_key(|lease| lease.blob.tasks.iter().next().unwrap().unwrap().to_vec());
        let suspects: Vec<_> = leases.iter().map(|it| it.blob.suspect).collect();
        let interruptions: Vec<_> = leases.iter().map(|it| it.blob.interruptions == 1).collect();
        assert_eq!(suspects, expected, "{seat:?}");
        assert_eq!(interruptions, expected.map(|suspect| !suspect), "{seat:?}");
    }
}

/// It says so of a suspect that it has not begun with: reading it may be what it dies of.
#[test]
fn what_a_dying_worker_says_is_told_of_the_task() {
    let (mut server, _) = server(1, &[b"a"]);
    server.wants(0, 0, &[1]);
    server.is_over();
    let posts = vec![Blob { suspect: true, crashes: 2, ..blob(b"deadly") }];
    server.delivers(0, 0, Commit { posts, ..Commit::new(Token(1)) });
    server.wants(0, 0, &[2]);
    server.is_over();
    server.says(0, Up::Dying { seat: Some(0), why: "it ran for 3 s".into() });
    server.says(0, Up::Dying { seat: None, why: "something else".into() });
    server.close(0, &kill()).expect("memory does not fail");
    let killers = server.into_killers();
    assert_eq!(killers[0].failure.to_string(), "a task: killed its worker 3 times: it ran for 3 s");
}
