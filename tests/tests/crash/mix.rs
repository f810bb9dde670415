//! Every fault that signals can bring, in one run: kills, crashes and pauses, of one worker, of all of
//! them and of their parent.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use prunner_tests::{
    busy::Busy,
    family::{Doing, Worker, members, signal_all},
    process::{Ended, Process},
    random::Random,
    scale::times,
    stall::Alarm,
    watchdog::Watchdog,
};

use super::scene::Scene;

/// What is done to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Kill,
    KillAll,
    /// A crash, as far as the parent can tell.
    Crash,
    CrashAll,
    /// A pause of one worker, shorter than the lease and longer.
    Nap,
    Sleep,
    /// The same of all workers.
    NapAll,
    SleepAll,
    /// The same of the parent.
    NapParent,
    SleepParent,
    /// The same of parent and workers.
    Freeze,
    LongFreeze,
    /// A kill of a worker that has no lease yet.
    KillNewborn,
}

/// The faults of a usual run, the more frequent ones more than once.
const USUAL: [Fault; 16] = {
    use Fault::{
        Crash, CrashAll, Freeze, Kill, KillAll, LongFreeze, Nap, NapAll, NapParent, Sleep,
        SleepAll, SleepParent,
    };
    [
        Kill,
        Kill,
        Kill,
        KillAll,
        Crash,
        CrashAll,
        Nap,
        Nap,
        Sleep,
        Sleep,
        NapAll,
        SleepAll,
        NapParent,
        SleepParent,
        Freeze,
        LongFreeze,
    ]
};

/// A task is blamed for the death of a worker when more than ten were killed and then three have
/// crashed: fewer faults can make no task dead.
const MOST_KILLS: usize = 10;
const MOST_CRASHES: usize = 3;

/// Deaths one after the other with which a run may give up.
const FUSE: u64 = 30;

/// The text of the error with which it does.
const FUSE_TEXT: &str = "have died one after the other without finishing anything";

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// With the exact answer.
    Exact,
    /// With the error that kills came faster than work.
    Fuse,
    Wrong,
    Hang,
}

#[derive(Default)]
struct Figures {
    faults: BTreeMap<Fault, u64>,
    /// Signals that have killed.
    deaths: u64,
    verdicts: BTreeMap<Verdict, u64>,
    slowest: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs: u64 = self.verdicts.values().sum();
        writeln!(f, "{runs} runs: {:?}, the longest took {:.1?}", self.verdicts, self.slowest)?;
        write!(f, "faults: {:?}; {} workers killed", self.faults, self.deaths)
    }
}

/// One run and what is done to it.
struct Play {
    scene: Scene,
    random: Random,
    process: Process,
    delivered: Vec<(Duration, Fault)>,
    begun: Instant,
    /// Workers that this has killed.
    deaths: u64,
}

impl Play {
    fn new(mut random: Random, log: PathBuf) -> Self {
        let leases = [100, 200, 300, 500, 1000, 3000, 10_000];
        let lease = leases[random.below(leases.len() as u64) as usize];
        let long = [0, 0, 50, 4 * lease.min(1000)][random.below(4) as usize];
        let scene = Scene {
            workers: times("PRUNNER_CRASH_WORKERS", 1 + random.below(8)),
            threads: times("PRUNNER_CRASH_THREADS", 1 + random.below(4)),
            lease: times("PRUNNER_CRASH_LEASE", lease),
            size: 4000 + random.below(16_000),
            long,
            log: Some(log),
            ..Scene::random(&mut random)
        };
        let (process, begun) = (scene.start(), Instant::now());
        Self { scene, random, process, delivered: Vec::new(), begun, deaths: 0 }
    }

    /// Does to the run what chance wants, and waits for its end.
    fn play(mut self, figures: &mut Figures) -> Result<(), String> {
        let session = self.process.pid();
        // Each pause may cost a few leases; a run without any takes about a second.
        let limit = Duration::from_secs(45) + Duration::from_millis(6 * self.scene.lease);
        let storm = self.random.one_in(12);
        if storm {
            self.storm()
        } else {
            self.usual()
        }
        let alarm = Alarm::after(limit, session);
        let (scene, faults) = (format!("{:?}", self.scene), format!("{:?}", self.delivered));
        for (_, fault) in &self.delivered {
            *figures.faults.entry(*fault).or_default() += 1;
        }
        figures.deaths += self.deaths;
        let ended = self.process.end();
        figures.slowest = figures.slowest.max(self.begun.elapsed());
        let stalled = alarm.off();
        let checked = match stalled {
            Some(state) => {
                Err((Verdict::Hang, format!("{state}\n{}{}", ended.output, ended.errors)))
            }
            None => check(&self.scene, &ended, self.deaths).map_err(|why| (Verdict::Wrong, why)),
        };
        let left = members(session);
        signal_all(session, libc::SIGKILL);
        let verdict = match (&checked, left.is_empty()) {
            (Ok(verdict), true) => *verdict,
            (Ok(_), false) => Verdict::Wrong,
            (Err((verdict, _)), _) => *verdict,
        };
        *figures.verdicts.entry(verdict).or_default() += 1;
        match checked {
            Ok(_) if left.is_empty() => Ok(()),
            Ok(_) => Err(format!("processes are left: {left:?}\n{scene}\n{faults}")),
            Err((verdict, why)) => Err(format!("{verdict:?}: {scene}\n{faults}\n{why}")),
        }
    }

    /// Some faults of all kinds.
    fn usual(&mut self) {
        let most = 3 + self.random.below(12);
        let pace = Duration::from_millis([5, 20, 60, 150][self.random.below(4) as usize]);
        // Now and then the same fault again and again.
        let only = self.random.one_in(3).then(|| self.random.below(USUAL.len() as u64) as usize);
        for _ in 0..most {
            self.a_moment(pace);
            if self.process.has_ended() {
                break;
            }
            let any = self.random.below(USUAL.len() as u64) as usize;
            let fault = USUAL[only.unwrap_or(any)];
            if self.may(fault) && self.deliver(fault) {
                self.delivered.push((self.begun.elapsed(), fault));
            }
        }
    }

    /// Kills come faster than work, for as long as the run bears it: each worker dies before it has
    /// got a lease.
    fn storm(&mut self) {
        let until = 3 * FUSE.max(5 * self.scene.workers);
        while self.deaths < until && !self.process.has_ended() {
            if self.deliver(Fault::KillNewborn) {
                self.delivered.push((self.begun.elapsed(), Fault::KillNewborn));
            }
            thread::yield_now();
        }
    }

    /// Whether no task can be dead because of one more of these.
    fn may(&self, fault: Fault) -> bool {
        let count =
            |of: &[Fault]| self.delivered.iter().filter(|(_, fault)| of.contains(fault)).count();
        match fault {
            Fault::Kill | Fault::KillAll => count(&[Fault::Kill, Fault::KillAll]) < MOST_KILLS,
            Fault::Crash | Fault::CrashAll => {
                count(&[Fault::Crash, Fault::CrashAll]) < MOST_CRASHES
            }
            // A pause of longer than the lease would take longer than all other runs together.
            Fault::Sleep | Fault::SleepAll | Fault::SleepParent | Fault::LongFreeze => {
                self.scene.lease <= 1000
                    || (self.scene.lease <= 3000 && count(&[Fault::Sleep, Fault::SleepAll]) < 1)
            }
            _ => true,
        }
    }

    /// Whether there was somebody to do it to.
    fn deliver(&mut self, fault: Fault) -> bool {
        let session = self.process.pid();
        let mut workers = Worker::all_of(session);
        let nap = Duration::from_millis(self.scene.lease.min(400) * self.random.below(90) / 100);
        let sleep = Duration::from_millis(self.scene.lease * (110 + self.random.below(200)) / 100);
        let one = |random: &mut Random, workers: &mut Vec<Worker>| {
            if !workers.is_empty() {
                let at = random.below(workers.len() as u64) as usize;
                *workers = vec![workers.swap_remove(at)];
            }
        };
        if matches!(fault, Fault::Kill | Fault::Crash | Fault::Nap | Fault::Sleep) {
            one(&mut self.random, &mut workers);
        }
        match fault {
            Fault::KillNewborn => {
                workers.retain(|worker| worker.doing() == Some(Doing::Starting));
                self.end_them(&workers, libc::SIGKILL)
            }
            Fault::Kill | Fault::KillAll => self.end_them(&workers, libc::SIGKILL),
            Fault::Crash | Fault::CrashAll => self.end_them(&workers, libc::SIGSEGV),
            Fault::Nap | Fault::NapAll => self.pause(&workers, false, nap),
            Fault::Sleep | Fault::SleepAll => self.pause(&workers, false, sleep),
            Fault::NapParent => self.pause(&[], true, nap),
            Fault::SleepParent => self.pause(&[], true, sleep),
            Fault::Freeze => self.pause(&workers, true, nap),
            Fault::LongFreeze => self.pause(&workers, true, sleep),
        }
    }

    fn end_them(&mut self, workers: &[Worker], signal: libc::c_int) -> bool {
        let hit = workers.iter().filter(|worker| worker.signal(signal)).count();
        self.deaths += hit as u64;
        hit > 0
    }

    fn pause(&self, workers: &[Worker], parent: bool, time: Duration) -> bool {
        if parent {
            self.process.signal(libc::SIGSTOP);
        }
        let stopped = workers.iter().filter(|worker| worker.signal(libc::SIGSTOP)).count();
        thread::sleep(time);
        workers.iter().for_each(|worker| _ = worker.signal(libc::SIGCONT));
        if parent {
            self.process.signal(libc::SIGCONT);
        }
        parent || stopped > 0
    }

    /// Waits for a moment that cannot be foreseen.
    fn a_moment(&mut self, most: Duration) {
        thread::sleep(most.mul_f64(self.random.below(1000) as f64 / 1000.0));
    }
}

/// The verdict of a run that has ended, or what is wrong with it.
fn check(scene: &Scene, ended: &Ended, deaths: u64) -> Result<Verdict, String> {
    let error = ended.output.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    let has_ended = ended.output.lines().any(|line| line == "end");
    if deaths > FUSE && error.contains(FUSE_TEXT) && !has_ended && ended.status.code().is_some() {
        return Ok(Verdict::Fuse);
    }
    scene.check(ended).map(|()| Verdict::Exact)
}

#[test]
fn faults_of_all_kinds_leave_the_answer_exact() {
    let (runs, first) = (times("PRUNNER_CRASH_RUNS", 10), times("PRUNNER_CRASH_FIRST", 0));
    let seed = times("PRUNNER_CRASH_SEED", 1);
    let log =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mix-{}", std::process::id()));
    // Each run has a limit of its own.
    let watchdog = Watchdog::after(Duration::from_secs(300), "a run with faults of all kinds");
    let _busy = Busy::as_wished();
    let (mut figures, mut wrong) = (Figures::default(), Vec::new());
    println!("seed {seed}, {runs} runs from number {first} on");
    for number in first..first + runs {
        let _ = fs::remove_file(&log);
        let random = Random::new(Random::new(seed << 8 | 5).draw() ^ number);
        if let Err(why) = Play::new(random, log.clone()).play(&mut figures) {
            println!("run {number} of seed {seed}: {}", shorten(&why));
            wrong.push((number, why));
        }
        watchdog.progress();
        if (number + 1 - first).is_multiple_of(50) {
            println!("{figures}");
        }
    }
    let _ = fs::remove_file(&log);
    println!("{figures}");
    assert!(wrong.is_empty(), "{} of {runs} runs went wrong", wrong.len());
}

/// The first lines; a log of dead tasks may be long.
fn shorten(text: &str) -> String {
    let lines: Vec<&str> = text.lines().take(400).collect();
    lines.iter().map(|line| line.chars().take(600).collect::<String>() + "\n").collect()
}
