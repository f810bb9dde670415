//! Faults that the library once had, each as a run that judges itself: `bin/panic_scenes.rs` and
//! `bin/fault_scenes.rs`. Every one is played with one worker and with several, on one thread of each
//! process and on four, on each engine where it applies.
//!
//! `PRUNNER_REPRODUCERS_RUNS` plays each as often, with four threads, on one worker and on eight,
//! `PRUNNER_REPRODUCERS_BESIDE` of them beside each other; `PRUNNER_BUSY` starts so many loops beside them.

#![cfg(target_os = "linux")]

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use prunner_tests::{
    busy::Busy,
    family::{Worker, lead_a_session, signal_all, wait_until_gone},
    meeting::Meeting,
    process::Process,
    scale::times,
    stall::Alarm,
    verdict::{AS_PROMISED, Engine},
    watchdog::Watchdog,
};

// A test plays a scene under several settings, and each play has a limit of its own.
prunner_tests::watched!(300);

const PANICS: &str = env!("CARGO_BIN_EXE_panic_scenes");
const FAULTS: &str = env!("CARGO_BIN_EXE_fault_scenes");

/// No run takes so long; one that does has stalled. To describe it takes some seconds more.
const LIMIT: Duration = Duration::from_secs(30);

/// No process of a run that has ended is left after this.
const LINGER: Duration = Duration::from_secs(5);

/// What the leases of the scenes that are paused last.
const LEASE: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug)]
struct Setting {
    engine: Engine,
    workers: usize,
    threads: usize,
}

const THREADS: &[Engine] = &[Engine::Biased, Engine::Deque];
const PROCESSES: &[Engine] = &[Engine::Processes];
const ALL: &[Engine] = &[Engine::Biased, Engine::Deque, Engine::Processes];

/// How often each setting is played, if it is a long test.
fn long() -> Option<u64> {
    Some(times("PRUNNER_REPRODUCERS_RUNS", 0)).filter(|runs| *runs > 0)
}

fn settings(engines: &[Engine], least: usize) -> Vec<Setting> {
    let (workers, threads): (&[usize], &[usize]) = match long() {
        Some(_) => (&[1, 2, 8], &[4]),
        None => (&[1, 2, 8], &[1, 4]),
    };
    let mut settings = Vec::new();
    for &engine in engines {
        for &workers in workers.iter().filter(|it| **it >= least) {
            match engine {
                Engine::Processes => settings.extend(threads.iter().map(|&threads| Setting {
                    engine,
                    workers,
                    threads,
                })),
                _ => settings.push(Setting { engine, workers, threads: 1 }),
            }
        }
    }
    settings
}

/// What a test does to a run: it has the number of the run's session and the place where handlers meet,
/// to which somebody comes to say [`OVER`] in the end.
type Drive = fn(u32, &Meeting);

/// What is said when the run has ended.
const OVER: &str = "over";

/// Nobody is met.
fn watch(_: u32, _: &Meeting) {}

struct Scene {
    program: &'static str,
    name: &'static str,
    limit: Duration,
    drive: Drive,
}

impl Scene {
    fn new(program: &'static str, name: &'static str) -> Self {
        Self { program, name, limit: LIMIT, drive: watch }
    }

    /// Plays it under each setting, beside each other unless it is a long test. Returns what went wrong.
    fn play(&self, settings: Vec<Setting>) -> Vec<String> {
        let wrong: Vec<String> = match long() {
            Some(runs) => {
                let _busy = Busy::as_wished();
                settings.iter().flat_map(|it| self.play_often(*it, runs)).collect()
            }
            None => thread::scope(|scope| {
                let play = |it| scope.spawn(move || self.play_once(it).err());
                let plays: Vec<_> = settings.into_iter().map(play).collect();
                plays
                    .into_iter()
                    .filter_map(|it| it.join().unwrap_or_else(|_| panicked()))
                    .collect()
            }),
        };
        wrong.into_iter().map(|wrong| format!("{}: {wrong}", self.name)).collect()
    }

    /// Plays it so many times, some beside each other if that is wished, and prints a line of the table.
    fn play_often(&self, setting: Setting, runs: u64) -> Vec<String> {
        let watchdog = Watchdog::after(4 * LIMIT, "a scene that is played often");
        let beside = times("PRUNNER_REPRODUCERS_BESIDE", 1).clamp(1, runs);
        let (begun, longest) = (AtomicU64::new(0), AtomicU64::new(0));
        let play_some = || {
            let mut wrong = Vec::new();
            while begun.fetch_add(1, Ordering::Relaxed) < runs {
                let start = Instant::now();
                wrong.extend(self.play_once(setting).err());
                watchdog.progress();
                longest.fetch_max(start.elapsed().as_millis() as u64, Ordering::Relaxed);
            }
            wrong
        };
        let mut wrong: Vec<String> = thread::scope(|scope| {
            let players: Vec<_> = (0..beside).map(|_| scope.spawn(play_some)).collect();
            let join = |it: thread::ScopedJoinHandle<'_, _>| {
                it.join().unwrap_or_else(|_| panicked().into_iter().collect())
            };
            players.into_iter().flat_map(join).collect()
        });
        let longest = Duration::from_millis(longest.into_inner());
        let Setting { engine, workers, threads } = setting;
        println!(
            "| {:24} | {:9} | {workers} | {threads} | {:3} as promised | {:3} wrong | {longest:6.1?} |",
            self.name,
            engine.name(),
            runs - wrong.len() as u64,
            wrong.len(),
        );
        wrong.truncate(3);
        wrong
    }

    /// What is wrong with it, if anything.
    fn play_once(&self, setting: Setting) -> Result<(), String> {
        let Setting { engine, workers, threads } = setting;
        let (meeting, file) = (Meeting::new(), file());
        let mut command = Command::new(self.program);
        command.args([self.name, &workers.to_string(), &threads.to_string(), engine.name()]);
        command.arg(meeting.invitation().address()).arg(&file);
        let process = Process::start(lead_a_session(&mut command));
        let session = process.pid();
        let alarm = Alarm::after(self.limit, session);
        let ended = thread::scope(|scope| {
            scope.spawn(|| (self.drive)(session, &meeting));
            let ended = process.end();
            meeting.invitation().leave(OVER);
            ended
        });
        let _ = std::fs::remove_file(&file);
        let wrong = |why: &str| {
            let (output, errors) = (&ended.output, &ended.errors);
            let errors: String = errors.lines().take(50).map(|line| format!("{line}\n")).collect();
            Err(format!("{setting:?}: {why}; {}\n{output}{errors}", ended.status))
        };
        if let Some(state) = alarm.off() {
            return wrong(&state);
        }
        wait_until_gone(session, LINGER);
        let verdicts: Vec<_> =
            ended.output.lines().filter(|it| it.starts_with("verdict: ")).collect();
        match verdicts[..] == [AS_PROMISED] && ended.status.success() {
            true => Ok(()),
            false => wrong("not as promised"),
        }
    }
}

fn panicked() -> Option<String> {
    Some("the test itself has panicked, see above".into())
}

/// A file that is not there.
fn file() -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("once-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Scenes are played one after the other: each starts dozens of processes.
static ONE: Mutex<()> = Mutex::new(());

#[track_caller]
fn play(program: &'static str, names: &[&'static str], engines: &[Engine]) {
    play_all(names.iter().map(|name| Scene::new(program, name)), || settings(engines, 1));
}

#[track_caller]
fn play_all(scenes: impl IntoIterator<Item = Scene>, settings: impl Fn() -> Vec<Setting>) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let wrong: Vec<_> = scenes.into_iter().flat_map(|scene| scene.play(settings())).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Handlers on processes only, with a test that drives the run.
#[track_caller]
fn drive(name: &'static str, least_workers: usize, drive: Drive) {
    let scene = Scene { drive, ..Scene::new(FAULTS, name) };
    play_all([scene], || settings(PROCESSES, least_workers));
}

#[test]
fn a_merge_that_panics_in_begin_and_is_caught_doubles_no_drop() {
    play(PANICS, &["caught merge"], THREADS);
}

#[test]
fn a_panic_while_a_task_is_written_makes_it_dead() {
    play(PANICS, &["serialize"], PROCESSES);
}

#[test]
fn a_panic_while_a_task_of_begin_is_written_makes_it_dead() {
    play(PANICS, &["serialize in begin"], PROCESSES);
}

#[test]
fn a_panic_while_a_task_is_read_makes_it_dead() {
    play(PANICS, &["deserialize"], PROCESSES);
}

#[test]
fn a_panic_in_a_label_makes_the_task_dead() {
    play(PANICS, &["label"], ALL);
}

#[test]
fn a_panic_in_debug_leaves_the_reason_of_the_failure() {
    play(PANICS, &["debug"], ALL);
}

#[test]
fn a_panic_in_display_is_the_reason_of_the_failure() {
    play(PANICS, &["display"], ALL);
}

#[test]
fn a_panic_in_the_drop_of_a_task_makes_it_dead() {
    play(PANICS, &["drop"], ALL);
}

#[test]
fn a_panic_in_a_merge_of_the_handlers_own_values_makes_it_dead() {
    play(PANICS, &["merge"], ALL);
}

#[test]
fn a_panic_in_a_merge_of_finished_tasks_stops_the_run_and_names_the_key() {
    play(PANICS, &["join"], ALL);
}

#[test]
fn a_panic_in_a_merge_while_others_hold_the_lock_stops_the_run_and_names_the_key() {
    play(PANICS, &["overflow beside the lock"], ALL);
}

#[test]
fn a_lock_that_is_never_let_go_stops_the_run() {
    play(PANICS, &["leaked lock"], ALL);
}

#[test]
fn processes_that_handlers_have_forked_end_with_the_run() {
    play(FAULTS, &["fork"], PROCESSES);
}

#[test]
fn programs_that_handlers_have_started_end_with_the_run() {
    play(FAULTS, &["spawn"], PROCESSES);
}

#[test]
fn a_batch_of_crashing_tasks_is_named_and_the_others_finish() {
    play(FAULTS, &["crashing batch"], PROCESSES);
}

#[test]
fn what_a_task_takes_to_be_written_and_read_costs_no_lease() {
    play(FAULTS, &["slow serialize", "slow deserialize"], PROCESSES);
}

#[test]
fn what_values_of_the_dict_take_costs_no_lease() {
    play(FAULTS, &["slow value serialize", "slow value deserialize", "slow merge"], PROCESSES);
}

#[test]
fn what_labels_texts_and_destructors_take_costs_no_lease() {
    play(FAULTS, &["slow label", "slow debug", "slow drop"], PROCESSES);
}

#[test]
fn limits_of_for_ever_are_none_or_refused() {
    let names = ["for ever: lease", "for ever: max_cpu_time", "for ever: max_task_time"];
    play(FAULTS, &names, PROCESSES);
}

#[test]
fn the_wait_for_the_lock_is_no_time_of_the_handler() {
    play(FAULTS, &["lock queue"], PROCESSES);
}

/// The lease is 30 s: who looks at the clock a few times a lease is too late.
#[test]
fn a_handler_that_overruns_is_dead_in_time_and_the_limit_is_named() {
    let scene = Scene { limit: Duration::from_secs(9), ..Scene::new(FAULTS, "overrun") };
    play_all([scene], || settings(PROCESSES, 1));
}

/// A program that is paused as a whole, say by a container, loses nothing.
#[test]
fn pauses_of_the_whole_program_blame_no_task() {
    drive("frozen", 1, |session, meeting| {
        let first = meeting.next();
        if first.text == OVER {
            return;
        }
        for _ in 0..4 {
            signal_all(session, libc::SIGSTOP);
            // A pause has to last: nothing marks its end.
            thread::sleep(3 * LEASE);
            signal_all(session, libc::SIGCONT);
            // Time to think that the lease is over.
            thread::sleep(LEASE);
        }
        first.let_go();
        loop {
            // Handlers that were started again.
            let guest = meeting.next();
            if guest.text == OVER {
                return;
            }
            guest.let_go();
        }
    });
}

/// A worker that stands still four times with the same task: others take it over each time.
#[test]
fn leases_that_expire_blame_no_task() {
    drive("expired", 1, |session, meeting| {
        let mut stopped = Vec::new();
        loop {
            let guest = meeting.next();
            if guest.text == OVER {
                return;
            }
            if stopped.len() == 4 {
                guest.let_go();
                continue;
            }
            if let Some(worker) = Worker::member(guest.pid, session) {
                worker.signal(libc::SIGSTOP);
            }
            stopped.push(guest);
        }
    });
}

/// A task that has crashed runs again beside a long handler, which ends only after that.
#[test]
fn a_task_that_has_crashed_does_not_wait_behind_a_long_handler() {
    drive("stranded", 2, |_, meeting| {
        let (mut long, mut begin, mut done) = (Vec::new(), None, false);
        loop {
            let guest = meeting.next();
            match &*guest.text {
                OVER => return,
                "begin" => begin = Some(guest),
                "hold" => long.push(guest),
                "once" => guest.let_go(),
                _ => done = true,
            }
            if !long.is_empty() {
                begin.take().into_iter().for_each(|guest| guest.let_go());
            }
            if done {
                long.drain(..).for_each(|guest| guest.let_go());
            }
        }
    });
}
