//! Worker processes that are killed at random moments: nothing is lost, nothing is doubled, nobody is
//! left behind.

#![cfg(target_os = "linux")]

mod mix;
mod scene;

use std::{
    fmt, fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use prunner_tests::{
    family::{Doing, Worker, wait_until_gone},
    process::Ended,
    random::Random,
    scale::times,
    watchdog::Watchdog,
};

use self::scene::Scene;

prunner_tests::watched!();

/// No process of a run that has ended is left after this.
const LINGER: Duration = Duration::from_secs(2);

/// No worker is left when its parent was killed so long ago.
const ORPHANED: Duration = Duration::from_secs(1);

/// After this long without a run that ends, something is stuck.
const STUCK: Duration = Duration::from_secs(90);

/// What was done to the workers and what the program has noticed of it.
#[derive(Default)]
struct Figures {
    runs: u64,
    /// Kills by what the worker was doing.
    starting: u64,
    running: u64,
    waiting: u64,
    stops: u64,
    /// Deaths of which the parent has told.
    at_work: usize,
    before_hello: usize,
    silent: usize,
}

impl Figures {
    fn kills(&self) -> u64 {
        self.starting + self.running + self.waiting
    }

    fn kill(&mut self, worker: &Worker) {
        let Some(doing) = worker.doing() else { return };
        if !worker.signal(libc::SIGKILL) {
            return;
        }
        *match doing {
            Doing::Starting => &mut self.starting,
            Doing::Running => &mut self.running,
            Doing::Waiting => &mut self.waiting,
        } += 1;
    }

    fn add(&mut self, ended: &Ended) {
        let told = |text| ended.output.matches(text).count();
        self.runs += 1;
        self.at_work += told(" has died: ");
        self.before_hello += told(" has died before it said hello: ");
        self.silent += told(" has said nothing for ");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, starting, running, waiting, stops, at_work, before_hello, silent } = self;
        write!(
            f,
            "{runs} runs, {} kills (starting {starting}, running {running}, waiting {waiting}), {stops} \
             stops; told: {at_work} died at work, {before_hello} before hello, {silent} were silent",
            self.kills()
        )
    }
}

/// Waits for a moment that nobody can foresee.
fn a_moment(random: &mut Random, most: Duration) {
    thread::sleep(most.mul_f64(random.below(1000) as f64 / 1000.0));
}

/// Random numbers that are others for each test, and for each `PRUNNER_CRASH_SEED`.
fn random(test: u64) -> Random {
    Random::new(times("PRUNNER_CRASH_SEED", 1) << 8 | test)
}

/// Kills workers of one run, at most `most`, then lets it end.
fn kill_workers(
    scene: &Scene,
    most: u64,
    random: &mut Random,
    figures: &mut Figures,
) -> Result<(), String> {
    let mut process = scene.start();
    let session = process.pid();
    let until = figures.kills() + most;
    // Faster, and 30 workers in a row may die before any has got anything done: that ends a run.
    let pace = Duration::from_millis([8, 8, 15, 30][random.below(4) as usize]);
    while figures.kills() < until && !process.has_ended() {
        a_moment(random, pace);
        let mut workers = Worker::all_of(session);
        if workers.is_empty() {
            continue;
        }
        if !random.one_in(12) {
            workers = vec![workers.swap_remove(random.below(workers.len() as u64) as usize)];
        }
        workers.iter().for_each(|worker| figures.kill(worker));
    }
    let ended = process.end();
    figures.add(&ended);
    wait_until_gone(session, LINGER);
    scene.check(&ended)
}

/// Tells what was done, and fails if something was wrong.
#[track_caller]
fn tell(figures: &Figures, start: Instant, wrong: &[String]) {
    println!("{figures}; {:.1} s", start.elapsed().as_secs_f64());
    for wrong in wrong {
        let why = wrong
            .lines()
            .filter(|line| line.starts_with("error: ") || line.starts_with("verdict: "));
        println!(
            "wrong: {}\n  {}",
            wrong.lines().next().unwrap_or_default(),
            why.collect::<Vec<_>>().join("\n  ")
        );
    }
    let runs = figures.runs;
    assert!(wrong.is_empty(), "{} of {runs} runs went wrong, first: {}", wrong.len(), wrong[0]);
}

#[test]
fn killed_workers_lose_nothing_and_double_nothing() {
    let (kills, start) = (times("PRUNNER_CRASH_KILLS", 200), Instant::now());
    let watchdog = Watchdog::after(STUCK, "a run whose workers are killed");
    let (mut random, mut figures, mut wrong) = (random(1), Figures::default(), Vec::new());
    while figures.kills() < kills {
        let scene = Scene::random(&mut random);
        let most = (8 + random.below(24)).min(kills - figures.kills());
        wrong.extend(kill_workers(&scene, most, &mut random, &mut figures).err());
        watchdog.progress();
    }
    tell(&figures, start, &wrong);
}

/// A worker that is stopped loses its lease; what it commits when it goes on counts for nothing.
#[test]
fn stopped_workers_double_nothing() {
    let (stops, start) = (times("PRUNNER_CRASH_STOPS", 12), Instant::now());
    let watchdog = Watchdog::after(STUCK, "a run whose workers are stopped");
    let (mut random, mut figures, mut wrong) = (random(2), Figures::default(), Vec::new());
    while figures.stops < stops {
        let lease = 200 + random.below(100);
        let size = 6000 + random.below(3000);
        let scene = Scene { lease, size, ..Scene::random(&mut random) };
        let mut process = scene.start();
        let session = process.pid();
        let mut left = (2 + random.below(6)).min(stops - figures.stops);
        while left > 0 && !process.has_ended() {
            a_moment(&mut random, Duration::from_millis(60));
            let mut workers = Worker::all_of(session);
            if !random.one_in(6) && !workers.is_empty() {
                workers = vec![workers.swap_remove(random.below(workers.len() as u64) as usize)];
            }
            let stopped = workers.iter().filter(|it| it.signal(libc::SIGSTOP)).count() as u64;
            a_moment(&mut random, Duration::from_millis(lease * 5 / 2));
            for worker in &workers {
                if random.one_in(8) {
                    figures.kill(worker);
                }
                worker.signal(libc::SIGCONT);
            }
            figures.stops += stopped;
            left = left.saturating_sub(stopped);
        }
        let ended = process.end();
        figures.add(&ended);
        wait_until_gone(session, LINGER);
        wrong.extend(scene.check(&ended).err());
        watchdog.progress();
    }
    tell(&figures, start, &wrong);
}

#[test]
fn workers_end_with_their_parent() {
    let (kills, start) = (times("PRUNNER_CRASH_PARENTS", 20), Instant::now());
    let watchdog = Watchdog::after(STUCK, "a run whose parent is killed");
    let mut random = random(3);
    let (mut late, mut workers, mut longest) = (0, 0, Duration::ZERO);
    for _ in 0..kills {
        let scene = Scene::random(&mut random);
        let mut process = scene.start();
        let session = process.pid();
        a_moment(&mut random, Duration::from_millis(80));
        // A worker that is stopped cannot read that its parent is gone. One that is stopped before it has
        // even begun with `main` is beyond all help until it goes on.
        let stopped = random.one_in(4) && {
            let workers = Worker::all_of(session);
            let mut grown =
                workers.iter().filter(|it| it.doing().is_some_and(|it| it != Doing::Starting));
            grown.next().is_some_and(|worker| worker.signal(libc::SIGSTOP))
        };
        workers += Worker::all_of(session).len();
        process.kill();
        let took = wait_until_gone(session, ORPHANED);
        let ended = process.end();
        match ended.status.signal() {
            Some(libc::SIGKILL) => longest = longest.max(took),
            _ if stopped => panic!("{scene:?} has ended with a worker stopped: {ended:?}"),
            _ => {
                late += 1;
                scene.check(&ended).unwrap_or_else(|why| panic!("{why}"));
            }
        }
        watchdog.progress();
    }
    println!(
        "{kills} parents killed, {late} of them too late, with {workers} workers, which were gone after \
         {longest:?} at most; {:.1} s",
        start.elapsed().as_secs_f64()
    );
    assert!(workers > 0 && late < kills / 2, "{workers} workers, {late} late");
}

/// A directory of its own.
fn scratch(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("crash-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory can be made");
    path
}

/// A check that cannot fail proves nothing: programs that double or lose updates when they are started
/// again are exact while nobody kills them, and are found out when somebody does.
#[test]
fn planted_faults_are_found() {
    let watchdog = Watchdog::after(STUCK, "a run with a planted fault");
    let mut random = random(4);
    for fault in ["double", "lose"] {
        let mut run = |kills| {
            let fault = Some((fault, scratch(fault)));
            let scene = Scene {
                program: "merges",
                workers: 2,
                threads: 1,
                fault,
                ..Scene::random(&mut random)
            };
            let mut figures = Figures::default();
            let result = kill_workers(&scene, kills, &mut random, &mut figures);
            watchdog.progress();
            result
        };
        assert_eq!(run(0), Ok(()), "nobody was killed");
        let found = (0..20).find_map(|_| run(15).err()).expect("the fault is found");
        assert!(
            found.contains("\nend\n") && found.contains("\nverdict: WRONG: merged: "),
            "{found}"
        );
        fs::remove_dir_all(scratch(fault)).expect("it can be removed");
    }
}
