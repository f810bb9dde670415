//! Workers that are processes of their own.
//!
//! The parent starts its own executable again, with one end of a socket as its standard input. A worker
//! is served by one thread of the parent, which stands before the broker in memory. Nothing is
//! forked without exec, and nothing of the protocol goes over standard output.
//!
//! * `wire`: what is said; `dispatcher`: the parent's side of it; `entry`: the worker's.
//! * `supervisor`: the parent's thread; `child`: one process as it sees it; `poll`: how it waits.
//! * `begin`: what is posted from the parent.

mod build;
mod child;
mod clock;
mod death;
mod dispatcher;
mod dump;
mod entry;
mod fuse;
#[cfg(feature = "testing")]
pub(crate) mod fuzz;
pub(crate) mod group;
mod guard;
mod limits;
mod oom;
mod pidfd;
mod place;
#[cfg(all(test, target_os = "linux", not(any(miri, prunner_loom))))]
mod played_parent;
mod poll;
mod poster;
mod staff;
mod supervisor;
mod suspects;
pub(crate) mod wire;

use std::{
    any::type_name,
    fs::File,
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    sync::Arc,
    thread,
};

use serde::{Serialize, de::DeserializeOwned};

use build::Build;
use clock::HeardClock;
pub(crate) use entry::{NotAWorker, unclaimed};
use guard::StopOnPanic;
use poster::Poster;

use supervisor::{Ended, Failed, Plan, Supervisor};
use suspects::Killer;
use wire::{Greeting, Hello, MAGIC, PROTOCOL, write_frame};

use crate::{
    broker::{Batch, Broker, DeadLetter, LabelCount, MemoryBroker, Outcome, Step, Token},
    codec::{self, Bytes},
    dict::Dict,
    engine::{Finished, Totals, stop::Stop},
    error::{Error, Kind},
    failure::{Cause, Failure},
    handler::ParallelTaskRunner,
    message_loop::registry,
    payload::Payload,
    settings::Settings,
    stats::{LabelStats, Times},
};

/// By this variable a process knows that it was started as a worker. It [names](name_of) the socket that
/// is its standard input then: programs that handlers start inherit the variable, but not that socket.
const WORKER: &str = "PRUNNER_WORKER";

/// The device and number of this socket, which no other that is open has.
fn name_of(socket: &File) -> io::Result<String> {
    let metadata = socket.metadata()?;
    match metadata.file_type().is_socket() {
        true => Ok(metadata.ino().to_string()),
        // It may have a socket's number.
        false => Err(io::Error::other("it is not a socket")),
    }
}

/// Makes a worker of this process if it was started as one for a runner of type `R`; returns at once
/// otherwise.
///
/// A run on [processes](crate::Runner::processes) starts the program once more for each worker, so call
/// this before anything else in `main`: what comes before it is done by every worker, too. A program
/// with several types of runners calls it once for each.
///
/// In a worker it does not return: the process ends when the run is over.
///
/// ```no_run
/// use prunner::{MessageLoop, Runner, post_task, task};
///
/// #[task]
/// fn greet(name: String) {
///     println!("Hello, {name}.");
/// }
///
/// fn main() -> Result<(), prunner::Error> {
///     prunner::worker_entry::<MessageLoop>();
///     let begin = || post_task(greet, "world".to_string());
///     Runner::new(MessageLoop::new(begin, || ())).workers(4).processes().start()?;
///     Ok(())
/// }
/// ```
pub fn worker_entry<R>()
where
    R: ParallelTaskRunner + Serialize + DeserializeOwned + 'static,
    R::Task: Serialize + DeserializeOwned + 'static,
{
    entry::enter::<R>();
}

/// Runs `begin` here and all tasks on worker processes. An error of the second kind comes with what was
/// done until then.
pub(crate) fn run<R>(
    runner: &R,
    settings: &Settings,
    stop: &Arc<Stop>,
) -> Result<(Finished, Option<Kind>), Error>
where
    R: ParallelTaskRunner + Serialize,
    R::Task: Serialize,
{
    let cannot = |error: &dyn std::fmt::Display| {
        Error::config(format!("cannot start worker processes: {error}"))
    };
    let plan = plan(runner, settings).map_err(|error| cannot(&error))?;
    let first = vec![Batch::default()];
    let clock = Arc::new(HeardClock::default());
    let broker = MemoryBroker::new(settings.lease.time, settings.engine.order, first)
        .with_max_interruptions(settings.lease.max_interruptions);
    let broker: Arc<dyn Broker> = Arc::new(broker.with_clock(Arc::<HeardClock>::clone(&clock)));
    let token = Token::random();
    let leased = broker.step(None, &[token]).map_err(|error| cannot(&error))?;
    debug_assert!(matches!(leased, Step::Leased(..)), "the first batch is that of begin");

    let (waker, woken) = poll::waker().map_err(|error| cannot(&error))?;
    let waker = Arc::new(waker);
    stop.wake_with({
        let waker = Arc::clone(&waker);
        move || waker.wake()
    });
    let payload = Payload::new(settings.limits.payload);
    let poster = Poster::new(Arc::clone(&broker), token, waker, payload);
    let supervisor = Supervisor::new(
        plan,
        Arc::clone(&broker),
        Arc::clone(&poster),
        Arc::clone(stop),
        woken,
        clock,
    );
    let (begin, ended) =
        supervise(supervisor, &poster, runner, stop).map_err(|error| cannot(&error))?;
    let outcome = broker.outcome().map_err(|error| cannot(&error))?;
    poster.log().sum_up();
    Ok(finished(outcome, begin, ended))
}

/// Runs `begin` while the supervisor works on a thread of its own. A panic there is passed on when `begin`
/// has ended and all workers are dead.
fn supervise<R>(
    supervisor: Supervisor,
    poster: &Arc<Poster>,
    runner: &R,
    stop: &Arc<Stop>,
) -> io::Result<(Result<(), Cause>, Ended)>
where
    R: ParallelTaskRunner,
    R::Task: Serialize,
{
    thread::scope(|scope| {
        let guard = StopOnPanic { stop: Arc::clone(stop), poster: Arc::clone(poster) };
        let work = move || {
            let _guard = guard;
            supervisor.run()
        };
        let supervisor =
            thread::Builder::new().name("prunner-supervisor".into()).spawn_scoped(scope, work)?;
        let begin = poster.run(runner);
        if begin.is_err() {
            stop.drain();
        }
        let ended = supervisor.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((begin, ended))
    })
}

fn plan<R: Serialize>(runner: &R, settings: &Settings) -> io::Result<Plan> {
    let greeting =
        Greeting { magic: MAGIC, protocol: PROTOCOL, build: Build::of_this_process()?.to_string() };
    let bytes = codec::to_bytes(runner).map_err(|error| {
        io::Error::other(format!("the runner, a {}, {error}", type_name::<R>()))
    })?;
    let hello = Hello {
        runner_type: type_name::<R>().into(),
        runner: Bytes(bytes),
        tasks: registry::registry().map_err(io::Error::other)?.fingerprint(),
        worker: 0,
        terms: settings.terms(),
    };
    // Whether it can be written is found out here, once.
    write_frame(&hello, &mut Vec::new())?;
    let first_words = move |worker: usize| {
        let mut words = Vec::new();
        let hello = Hello { worker: worker as u32, ..hello.clone() };
        let written =
            write_frame(&greeting, &mut words).and_then(|()| write_frame(&hello, &mut words));
        written.expect("it was written before");
        words
    };
    Ok(Plan { settings: *settings, first_words: Box::new(first_words) })
}

/// What the run has come to, as the threads engine would tell it.
fn finished(outcome: Outcome, begin: Result<(), Cause>, ended: Ended) -> (Finished, Option<Kind>) {
    let Outcome { posted, mut labels, crashed, dead: letters, entries, left, .. } = outcome;
    let failures = letters.into_iter().map(|letter| failure_of(&letter, &ended.killers));
    let first = failures.collect();
    // Saturating, as the ledger is: the counts came from workers.
    let sum = |count: fn(&LabelCount) -> u64| labels.iter().map(count).fold(0, u64::saturating_add);
    let done = sum(|it| it.finished);
    let dead = sum(|it| it.dead).saturating_add(crashed);
    let totals = Totals { posted, finished: done, dead };
    let killers = ended.killers.iter().filter(|killer| killer.dead > 0).map(|killer| LabelCount {
        label: killer.failure.label().to_string(),
        dead: killer.dead,
        ..LabelCount::default()
    });
    labels.extend(killers);
    let rows = labels.into_iter().map(|LabelCount { label, finished, dead, times }| LabelStats {
        label,
        finished,
        dead,
        times: Times::of(&times),
    });
    let kind = ended.failed.map(|failed| match failed {
        Failed::Dict(why) => Kind::Dict(why),
        Failed::Workers(why) => Kind::Workers(why),
    });
    let finished = Finished {
        begin,
        totals,
        left,
        rows: rows.collect(),
        failures: first,
        dict: Dict::from_entries(entries),
        broken: None,
        started: ended.started,
    };
    (finished, kind)
}

/// How a task died, as its worker has reported, or as far as it is known of one whose workers have died
/// or were lost.
fn failure_of(letter: &DeadLetter, killers: &[Killer]) -> Failure {
    if !letter.report.0.is_empty() {
        return codec::decode(&letter.report.0)
            .unwrap_or_else(|error| unknown(format!("its report {error}")));
    }
    let killer = killers.iter().find(|killer| killer.task == letter.task.0);
    let failure = killer.map(|killer| killer.failure.clone());
    failure.unwrap_or_else(|| match letter.interruptions {
        0 => unknown("its workers have died".into()),
        times => unknown(suspects::interrupted(times)),
    })
}

fn unknown(why: String) -> Failure {
    Failure::new("a task", None, Cause::text(why), 0)
}
