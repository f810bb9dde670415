//! What workers may say, honest or not: see [`crate::fuzz`].

use std::{
    fmt::Debug,
    io::{self, Read},
    sync::Arc,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    death::{Blame, Death},
    dispatcher::{Dispatcher, ServeError},
    finished,
    supervisor::Ended,
    wire::{Greeting, Hello, Inbox, ToParent, ToWorker, Welcome, WireError, write_frame},
};
use crate::{
    Order,
    broker::{Batch, Broker, MOST_INTERRUPTIONS, MemoryBroker, Step, Tasks, Token},
    codec,
    report::Report,
    settings::LeaseSettings,
    testing::fuzz::{Script, ScriptClock, run_down},
};

/// The first byte says what the frames are, the second in which pieces they come. What comes in pieces
/// is what comes at once; what could be read can be written and read again.
pub fn frames(bytes: &[u8]) {
    let mut script = Script(bytes);
    let (Some(kind), Some(pieces)) = (script.byte(), script.byte()) else { return };
    match kind % 5 {
        0 => check::<ToParent>(script.0, pieces),
        1 => check::<ToWorker>(script.0, pieces),
        2 => check::<Hello>(script.0, pieces),
        3 => check::<Greeting>(script.0, pieces),
        _ => check::<Welcome>(script.0, pieces),
    }
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8], pieces: u8) {
    let at_once = read_all::<T>(bytes, bytes.len());
    let piece = usize::from(pieces).max(bytes.len() / 32);
    assert_eq!(read_all::<T>(bytes, piece), at_once, "in pieces of {piece} bytes");
    let mut again = Vec::new();
    for frame in &at_once.0 {
        write_frame(frame, &mut again).expect("it was a frame");
    }
    assert_eq!(read_all(&again, again.len()), (at_once.0, None));
}

/// The frames in `bytes`, and why there are no more of them.
fn read_all<T: DeserializeOwned>(mut bytes: &[u8], piece: usize) -> (Vec<T>, Option<WireError>) {
    let (mut inbox, mut frames) = (Inbox::default(), Vec::new());
    loop {
        let read = inbox.read_from(&mut Pieces(&mut bytes, piece)).expect("memory does not fail");
        loop {
            match inbox.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(why) => return (frames, Some(why)),
            }
        }
        if read == 0 {
            return (frames, None);
        }
    }
}

/// Gives out at most so many bytes at a time.
struct Pieces<'a, 'b>(&'a mut &'b [u8], usize);

impl Read for Pieces<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = self.1.clamp(1, out.len());
        self.0.read(&mut out[..most])
    }
}

/// So many workers may be there at once.
const LINES: usize = 3;

/// Up to three workers say what the bytes say, and come and go. Whatever it was: when they are gone,
/// nothing is held, what is left can be run, and the run has an outcome.
pub fn conversation(bytes: &[u8]) {
    let clock = ScriptClock::default();
    let lease = Duration::from_secs(10);
    let settings = LeaseSettings { time: lease, max_interruptions: MOST_INTERRUPTIONS };
    let broker = MemoryBroker::new(lease, Order::Lifo, first()).with_clock(Arc::new(clock.clone()));
    let broker: Arc<dyn Broker> = Arc::new(broker);
    let mut dispatcher = Dispatcher::new(Arc::clone(&broker), settings);
    let mut script = Script(bytes);
    while let Some(()) = act(&mut dispatcher, &mut script, &clock, &*broker) {}
    for line in 0..LINES {
        dispatcher.close(line, &death(false)).expect("memory does not fail");
    }
    assert!((0..LINES).all(|line| !dispatcher.holds_leases(line)) && dispatcher.idle_seats() == 0);
    run_down(&*broker);

    let outcome = broker.outcome().expect("memory does not fail");
    let ended = Ended { killers: dispatcher.into_killers(), ..Ended::default() };
    let (finished, _) = finished(outcome, Ok(()), ended);
    let report = Report::new(finished, Duration::from_secs(1), LINES);
    assert_eq!(report.ledger().left, 0, "all that was left has been run");
    assert!(!report.to_string().is_empty());
}

fn death(from_outside: bool) -> Death {
    let blame = if from_outside { Blame::Outside } else { Blame::Tasks };
    Death::new("it has ended", blame)
}

/// What the queue holds at first.
pub(crate) fn first() -> Vec<Batch> {
    let batch = |task| Batch { tasks: Tasks::one(task), ..Batch::default() };
    vec![batch(b"1"), batch(b"2"), batch(b"3")]
}

/// The next thing that happens; `None` if there is nothing more, or if the run cannot go on.
fn act(
    dispatcher: &mut Dispatcher,
    script: &mut Script<'_>,
    clock: &ScriptClock,
    broker: &dyn Broker,
) -> Option<()> {
    let (what, number) = (script.byte()?, script.byte()?);
    let line = usize::from(number) % LINES;
    let is_open = dispatcher.outbox(line).is_some();
    match what % 8 {
        0 if !is_open => dispatcher.open(line, u16::from(number) / LINES as u16 % 3 + 1),
        1 => dispatcher.close(line, &death(number >= 128)).expect("memory does not fail"),
        2 => {
            if dispatcher.pump().ok()? {
                let step = broker.step(None, &[Token::random()]).expect("memory does not fail");
                assert_eq!(step, Step::Done, "it was over before");
            }
        }
        3 => clock.pass(number),
        4 => dispatcher.set_startable(line),
        5 if number == 0 => dispatcher.drain(),
        5 if number == 1 => dispatcher.finish(),
        _ => {
            let bytes = script.bytes()?;
            if is_open && let Err(error) = hear(dispatcher, line, bytes) {
                let ServeError::Protocol(_) = error else { return None };
                dispatcher.close(line, &death(true)).expect("memory does not fail");
            }
        }
    }
    (0..LINES).for_each(|line| send(dispatcher, line));
    Some(())
}

fn hear(dispatcher: &mut Dispatcher, line: usize, bytes: &[u8]) -> Result<(), ServeError> {
    let up = codec::decode(bytes).map_err(WireError::Codec)?;
    dispatcher.handle(line, up)
}

/// Takes what is sent to a worker, which must be frames.
fn send(dispatcher: &mut Dispatcher, line: usize) {
    let Some(out) = dispatcher.outbox(line).filter(|out| !out.is_empty()) else { return };
    let (_, wrong) = read_all::<ToWorker>(out, out.len());
    assert_eq!(wrong, None);
    out.clear();
}
