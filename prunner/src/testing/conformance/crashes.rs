//! What becomes of tasks whose workers die.

use std::collections::BTreeMap;

use super::*;
use crate::{
    broker::{DeadLetter, MOST_CRASHES, MOST_INTERRUPTIONS},
    codec,
};

/// Takes all batches that are queued.
fn take_all(run: &Run) -> Vec<Lease> {
    (0..run.look().queued).map(|_| run.take()).collect()
}

/// The tasks of a batch that has killed a worker come back as suspects, each by itself.
pub(super) fn crashed_tasks_come_back_one_by_one(make: Fresh<'_>) {
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        let tasks = batch(&[b"a", b"b", b"c"]);
        come_back_one_by_one(make, &Batch { attempt: 4, interruptions: 2, priority, ..tasks });
    }
}

fn come_back_one_by_one(make: Fresh<'_>, whole: &Batch) {
    let run = Run::new(make, [whole.clone()]);
    let lease = run.take();
    run.release(lease.token, Release::Crashed);
    assert_eq!(run.commit(&rich(lease.token)), Step::Lost, "a released lease is gone");
    let mut singles: Vec<_> = take_all(&run).into_iter().map(|lease| lease.batch).collect();
    singles.sort_by_key(tasks);
    let expected: Vec<_> = tasks(whole)
        .into_iter()
        .map(|task| Batch { attempt: 5, suspect: true, tasks: Tasks::one(&task), ..whole.clone() })
        .collect();
    assert_eq!(singles, expected, "tasks that have killed a worker come back one by one");
    assert_eq!(
        run.outcome(),
        Outcome { left: 3, returned: 1, ..Outcome::default() },
        "a crash counts nothing but itself"
    );
}

/// A batch whose worker was killed for reasons of its own comes back as it was, one more attempt and one
/// more interruption.
pub(super) fn interruptions_charge_no_task(make: Fresh<'_>) {
    let suspect = Batch { suspect: true, crashes: MOST_CRASHES - 1, ..batch(&[b"a"]) };
    let several = (batch(&[b"a", b"b"]), MOST_INTERRUPTIONS / 2);
    for (whole, most) in [several, (suspect, MOST_INTERRUPTIONS)] {
        let run = Run::new(make, [whole.clone()]);
        for interruptions in 0..most {
            let lease = run.take();
            let expected = Batch { attempt: interruptions, interruptions, ..whole.clone() };
            assert_eq!(lease.batch, expected, "an interruption says nothing about its tasks");
            run.release(lease.token, Release::Interrupted);
            assert_eq!(run.commit(&rich(lease.token)), Step::Lost, "a released lease is gone");
        }
        let left = whole.tasks.len() as u64;
        let expected = Outcome { left, returned: u64::from(most), ..Outcome::default() };
        assert_eq!(run.outcome(), expected, "an interruption counts nothing but itself");
    }
}

/// There is an end to interruptions: half of them are for a batch, and then its tasks come back one by
/// one; a single task that has used up all is dead. A lease that expires is an interruption.
pub(super) fn interruptions_have_an_end(make: Fresh<'_>) {
    for expires in [false, true] {
        let run = Run::new(make, [batch(&[b"a", b"b"])]);
        let interrupt = |lease: &Lease| match expires {
            true => run.expire(),
            false => run.release(lease.token, Release::Interrupted),
        };
        let half = MOST_INTERRUPTIONS / 2;
        (0..half).for_each(|_| interrupt(&run.take()));
        let whole = run.take();
        let expected = Batch { attempt: half, interruptions: half, ..batch(&[b"a", b"b"]) };
        assert_eq!(whole.batch, expected, "an interrupted batch comes back whole at first");
        interrupt(&whole);
        let mut singles = take_all(&run);
        singles.sort_by_key(|lease| tasks(&lease.batch));
        let expected = [b"a", b"b"].map(|task| Batch {
            attempt: half + 1,
            interruptions: half + 1,
            ..batch(&[task])
        });
        let batches: Vec<_> = singles.iter().map(|lease| lease.batch.clone()).collect();
        assert_eq!(batches, expected, "half of the interruptions are for a batch as a whole");
        assert_eq!(run.commit(&Commit::new(singles[1].token)), Step::Empty(0));
        let mut unlucky = singles.swap_remove(0);
        for _ in half + 1..MOST_INTERRUPTIONS {
            interrupt(&unlucky);
            unlucky = run.take();
        }
        interrupt(&unlucky);
        let interruptions = MOST_INTERRUPTIONS + 1;
        let task = Bytes(b"a".to_vec());
        let dead = vec![DeadLetter { task, interruptions, ..DeadLetter::default() }];
        let returned = u64::from(interruptions);
        let expected = Outcome { crashed: 1, dead, returned, ..Outcome::default() };
        assert_eq!(run.outcome(), expected, "a task that is interrupted for ever is dead");
        assert!(run.look().done, "the end is seen when the last task dies");
        assert_eq!(run.ask(), Step::Done, "the run ends without the task that died");
    }
}

/// A task that kills every worker dies at the third time that it was a suspect; its neighbours finish
/// and the run ends.
pub(super) fn poison_dies_alone(make: Fresh<'_>) {
    let run = Run::new(make, [batch(&[b"a", b"poison", b"b"]), batch(&[b"c"])]);
    let mut kills = 0;
    let mut finished = BTreeMap::new();
    let mut steps = 0;
    while run.look().queued > 0 {
        steps += 1;
        assert!(steps < 20, "a task that kills its workers dies");
        let lease = run.take();
        let tasks = tasks(&lease.batch);
        if tasks.iter().any(|task| task == b"poison") {
            kills += 1;
            run.release(lease.token, Release::Crashed);
            continue;
        }
        for task in &tasks {
            *finished.entry(task.clone()).or_insert(0) += 1;
        }
        let labels = vec![count("task", tasks.len() as u64, 0)];
        run.commit(&Commit { labels, ..Commit::new(lease.token) });
    }
    let neighbours = [b"a", b"b", b"c"].map(|task| (task.to_vec(), 1));
    assert_eq!(
        finished,
        BTreeMap::from(neighbours),
        "the neighbours of a poisonous task finish once"
    );
    assert_eq!(kills, 1 + MOST_CRASHES, "a task dies at its third crash as a suspect");
    let dead = vec![DeadLetter { task: Bytes(b"poison".to_vec()), ..DeadLetter::default() }];
    assert_eq!(
        run.outcome(),
        Outcome {
            labels: vec![count("task", 3, 0)],
            crashed: 1,
            dead,
            returned: u64::from(kills),
            ..Outcome::default()
        },
        "a task that has killed its workers is a dead letter without a report"
    );
    assert_eq!(run.ask(), Step::Done, "the run ends without the task that died");
}

/// A lease that expires was interrupted: its worker was lost, and its tasks are no suspects.
pub(super) fn expiry_is_an_interruption(make: Fresh<'_>) {
    let suspect = Batch { suspect: true, crashes: MOST_CRASHES - 1, ..batch(&[b"a"]) };
    for whole in [batch(&[b"a", b"b"]), suspect] {
        let run = Run::new(make, [whole.clone()]);
        for interruptions in 0..MOST_INTERRUPTIONS / 2 {
            let expected = Batch { attempt: interruptions, interruptions, ..whole.clone() };
            assert_eq!(run.take().batch, expected, "a lease that expires charges no task");
            run.expire();
        }
        let outcome = run.outcome();
        let returned = u64::from(MOST_INTERRUPTIONS / 2);
        assert_eq!(
            (outcome.crashed, outcome.returned),
            (0, returned),
            "expired leases are counted"
        );
    }
}

/// Tasks that cannot be told apart die at the first crash, as one letter; the broker lives.
pub(super) fn malformed_tasks_die_whole(make: Fresh<'_>) {
    // Each as it is written: the number of the tasks, of the bytes, and the bytes.
    let all: [&[u8]; 4] = [
        &[2, 5, 1, 0, 0, 0, b'a'],
        &[1, 4, 255, 255, 255, 255],
        &[3, 0],
        &[1, 6, 1, 0, 0, 0, 7, 7],
    ];
    let malformed = all.map(|bytes| Batch {
        tasks: codec::decode(bytes).expect("these are tasks of some kind"),
        ..Batch::default()
    });
    let run = Run::new(make, [batch(&[b"a"])]);
    let commit = Commit { posts: malformed.to_vec(), ..Commit::new(run.take().token) };
    assert_eq!(run.commit(&commit), Step::Empty(0), "a broker takes tasks as they are");
    let leases = take_all(&run);
    assert_eq!(leases.len(), all.len(), "malformed tasks are leased like others");
    leases.iter().for_each(|lease| run.release(lease.token, Release::Crashed));
    let outcome = run.outcome();
    assert_eq!(outcome.crashed, 2 + 1 + 3 + 1, "malformed tasks that die are counted as claimed");
    let mut letters: Vec<_> = outcome.dead.into_iter().map(|letter| letter.task.0).collect();
    letters.sort();
    let mut bytes = all.map(|bytes| bytes[2..].to_vec());
    bytes.sort();
    assert_eq!(letters, bytes, "malformed tasks are dead letters whole");
    assert_eq!(run.ask(), Step::Done, "malformed tasks end like others");
}

/// A lease without tasks (that of `begin`, say) does not come back, nor are there posts without tasks.
pub(super) fn leases_without_tasks_vanish(make: Fresh<'_>) {
    let released = [Release::Crashed, Release::Unstarted, Release::Interrupted].map(Some);
    for why in released.into_iter().chain([None]) {
        let run = Run::new(make, [Batch::default()]);
        let lease = run.take();
        assert_eq!(lease.batch, Batch::default(), "a first batch may be without tasks");
        assert_eq!(run.ask(), Step::Empty(1), "a lease without tasks holds the end open");
        match why {
            Some(why) => run.release(lease.token, why),
            None => run.expire(),
        }
        assert_eq!(run.ask(), Step::Done, "a lease without tasks does not come back");
        let returned = u64::from(why != Some(Release::Unstarted));
        assert_eq!(run.outcome().returned, returned, "leases that came back are counted");
    }
    let run = Run::new(make, [batch(&[b"a"])]);
    let commit = Commit { posts: vec![Batch::default()], ..Commit::new(run.take().token) };
    let step = run.step(Some(&commit), &[Token::random()]);
    assert_eq!(step, Step::Done, "posts without tasks are left out");
}

/// How often a task was tried, and what it is suspected of, goes with it: through commits that post it
/// or keep it, and through a lease that was not started.
pub(super) fn attempts_and_suspicions_travel(make: Fresh<'_>) {
    let known = Batch {
        priority: Priority::Low,
        attempt: 7,
        suspect: true,
        crashes: MOST_CRASHES - 1,
        interruptions: 3,
        ..batch(&[b"x"])
    };
    let run = Run::new(make, [batch(&[b"a"])]);
    let kept = Lease { token: Token::random(), batch: known.clone() };
    let token = run.take().token;
    let posts = vec![known.clone()];
    run.commit(&Commit { posts, successor: Some(kept.clone()), ..Commit::new(token) });
    let posted = run.take();
    assert_eq!(posted.batch, known, "what a commit posts is known as it was");
    run.commit(&Commit::new(posted.token));
    run.release(kept.token, Release::Unstarted);
    let again = run.take();
    assert_eq!(again.batch, known, "what a commit keeps is known as it was");
    run.release(again.token, Release::Interrupted);
    let again = run.take();
    let expected = Batch { attempt: 8, interruptions: 4, ..known };
    assert_eq!(again.batch, expected, "an interruption adds to what is known");
    run.release(again.token, Release::Crashed);
    assert_eq!(run.outcome().crashed, 1, "what was known of a task counts when it crashes");
}
