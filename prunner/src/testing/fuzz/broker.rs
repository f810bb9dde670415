//! Calls of a broker in memory, by somebody who means no good.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Script, ScriptClock};
use crate::{
    Order,
    broker::{
        Batch, Broker, Commit, KEPT_DEAD_LETTERS, Lease, MemoryBroker, Outcome, Release, Step,
        Tasks, Token,
    },
    codec,
};

/// A call, in the form in which it is read from bytes.
#[derive(Serialize, Deserialize)]
pub(super) enum Call {
    Step { commit: Option<Commit>, want: Vec<Token> },
    Lock(Token),
    Read { token: Token, key: String, known: u64 },
    Renew(Vec<Token>),
    Release(Token, Release),
    Pass(u8),
}

/// Leases last for so many seconds.
pub(super) const LASTS: u64 = 10;

/// What the queue holds at first.
pub(super) fn first() -> Vec<Batch> {
    let mut three = Tasks::one(b"1");
    three.push(b"2");
    three.push(b"3");
    vec![Batch::default(), Batch { tasks: three, ..Batch::default() }]
}

/// The first byte is the order; what follows are calls (`Call`). Afterwards all that is left is run.
pub fn broker(bytes: &[u8]) {
    let mut script = Script(bytes);
    let order =
        if script.byte().is_some_and(|byte| byte % 2 == 1) { Order::Fifo } else { Order::Lifo };
    let clock = ScriptClock::default();
    let broker = MemoryBroker::new(Duration::from_secs(LASTS), order, first())
        .with_clock(Arc::new(clock.clone()));
    let mut tokens = Vec::new();
    let mut before = Outcome::default();
    while let Some(bytes) = script.bytes() {
        let Ok(call) = codec::decode(bytes) else { continue };
        do_call(&broker, call, &clock, &mut tokens);
        let now = broker.outcome().expect("memory does not fail");
        check_growth(&before, &now);
        before = now;
    }
    tokens.iter().for_each(|&token| broker.release(token, Release::Crashed).expect("no failure"));
    run_down(&broker);
}

fn do_call(broker: &MemoryBroker, call: Call, clock: &ScriptClock, tokens: &mut Vec<Token>) {
    match call {
        Call::Step { commit, want } => {
            tokens.extend(&want);
            tokens
                .extend(commit.iter().flat_map(|commit| &commit.successor).map(|kept| kept.token));
            let answer = broker.step(commit.as_ref(), &want);
            let Ok(Step::Leased(..) | Step::Empty(_) | Step::Done) = answer else { return };
            if let Some(commit) = &commit {
                let again = broker.step(Some(commit), &[]).expect("its token is not in use");
                assert_eq!(again, Step::Lost, "a commit was applied twice");
            }
        }
        Call::Lock(token) => _ = broker.lock(token).expect("memory does not fail"),
        Call::Read { token, key, known } => {
            broker.read(token, &key, known).expect("memory does not fail");
        }
        Call::Renew(tokens) => _ = broker.renew(&tokens).expect("memory does not fail"),
        Call::Release(token, why) => broker.release(token, why).expect("memory does not fail"),
        Call::Pass(seconds) => clock.pass(seconds),
    }
}

/// Sums never go back, wherever they stop.
fn check_growth(before: &Outcome, now: &Outcome) {
    assert!(
        before.posted <= now.posted && before.crashed <= now.crashed,
        "{before:?}, then {now:?}"
    );
    assert!(before.returned <= now.returned && before.dead.len() <= now.dead.len());
    assert!(now.dead.len() <= KEPT_DEAD_LETTERS);
    for old in &before.labels {
        let new = now.labels.iter().find(|new| new.label == old.label).expect("labels stay");
        assert!(old.finished <= new.finished && old.dead <= new.dead, "{old:?}, then {new:?}");
    }
}

/// Runs all that is queued. Nobody else holds anything, so it must come to an end.
pub(crate) fn run_down(broker: &dyn Broker) {
    let (mut next, last) = (Token::random(), Token::random());
    loop {
        match broker.step(None, &[next]).expect("memory does not fail") {
            Step::Leased(leases, 0) => leases.iter().for_each(|lease| finish(broker, lease)),
            Step::Done => break,
            other => panic!("somebody holds or wants something: {other:?}"),
        }
        next = Token::random();
    }
    let watched = broker.watch(0, Duration::ZERO).expect("memory does not fail");
    assert!(watched.done && watched.queued == 0, "{watched:?}");
    assert_eq!((watched.waiting, watched.lock_waiting), (0, 0));
    assert_eq!(broker.step(None, &[last]).expect("memory does not fail"), Step::Done);
}

fn finish(broker: &dyn Broker, lease: &Lease) {
    for task in lease.batch.tasks.iter() {
        let Ok(_) = task else { break };
    }
    let ended = broker.step(Some(&Commit::new(lease.token)), &[]).expect("memory does not fail");
    assert!(matches!(ended, Step::Empty(_) | Step::Done), "{ended:?}");
}
