//! An end for tests that hang: the state of the process goes to its standard error, then it aborts.
//!
//! Two kinds watch. [`Watchdog`] belongs to one test and knows what that test waits for.
//! [`watch_tests`], which [`watched!`](crate::watched) calls before `main`, belongs to the whole test
//! program: it needs no test to remember it, and looks at the harness's main thread, which sleeps until
//! a test ends.
//!
//! The harness captures what tests and their threads print, and an abort loses that. So everything here
//! is written to descriptor 2 itself.

mod snapshot;

use std::{
    env, fs,
    io::{self, Write},
    os::fd::AsFd,
    process,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

/// Seconds without the end of a test after which a test program is stuck, on a machine that has a CPU
/// for everything that runs. `PRUNNER_TEST_LIMIT` sets another number.
pub const LIMIT: u64 = 120;

/// How often the main thread is looked at. These looks are what is counted, so that time in which the
/// whole process does not run is not held against it.
const LOOK: Duration = Duration::from_secs(1);

/// How long handlers of SIGQUIT have to write what they know.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often a [`Watchdog`] has seen progress: the harness knows nothing of a long test that gets on.
static PROGRESS: AtomicU64 = AtomicU64::new(0);

/// A limit on the time in which one test gets on.
#[derive(Debug)]
#[must_use = "the watchdog watches while it lives"]
pub struct Watchdog {
    progress: Sender<()>,
}

impl Watchdog {
    /// Ends the process with a message if there is neither [progress](Watchdog::progress) nor the
    /// value's drop within `limit`: longer under load, and in proportion to `PRUNNER_TEST_LIMIT`.
    pub fn after(limit: Duration, what: &'static str) -> Self {
        let (progress, seen) = channel::<()>();
        let limit = limit.mul_f64(patience());
        thread::spawn(move || {
            let mut waited = 0_u32;
            loop {
                match seen.recv_timeout(limit) {
                    Ok(()) => {
                        PROGRESS.fetch_add(1, Ordering::Relaxed);
                        waited = 0;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {
                        waited += 1;
                        if f64::from(waited) >= load() {
                            end_stuck(&format!("{what} did not get on for {:?}", limit * waited));
                        }
                    }
                }
            }
        });
        Self { progress }
    }

    /// The time starts again.
    pub fn progress(&self) {
        // Where the watching thread is gone, it has ended the process.
        let _ = self.progress.send(());
    }
}

/// Lets the tests of a program be watched: call it once, in any module. A program whose tests take long
/// names the seconds without the end of a test after which it is stuck, in place of [`LIMIT`].
#[macro_export]
macro_rules! watched {
    () => {
        $crate::watched!($crate::watchdog::LIMIT);
    };
    ($limit:expr) => {
        #[used]
        #[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
        static WATCH_TESTS: extern "C" fn() = {
            extern "C" fn watch_tests() {
                $crate::watchdog::watch_tests($limit);
            }
            watch_tests
        };
    };
}

/// Starts a thread that ends this test program when no test of it ends for about `limit` seconds. A
/// worker process is no test program: it may have nothing to do for as long as its parent likes.
pub fn watch_tests(limit: u64) {
    // Miri wants all threads to end.
    let can = cfg!(all(target_os = "linux", not(miri)));
    if !can || env::var_os("PRUNNER_WORKER").is_some() {
        return;
    }
    let thread = thread::Builder::new().name("test-watchdog".into());
    let started = thread.spawn(move || watch_main_thread(limit as f64 * patience()));
    if let Err(error) = started {
        write(&format!("the tests are not watched: {error}\n"));
    }
}

fn watch_main_thread(limit: f64) {
    let (mut seen, mut looks) = (life_signs(), 0_u32);
    loop {
        thread::sleep(LOOK);
        let now = life_signs();
        if now != seen {
            (seen, looks) = (now, 0);
            continue;
        }
        looks += 1;
        if f64::from(looks) >= limit * load() {
            end_stuck(&format!("no test has ended for {looks} s"));
        }
    }
}

/// What changes when a test ends: the main thread wakes up, prints and starts the next one.
fn life_signs() -> (String, u64) {
    let path = format!("/proc/self/task/{}/status", process::id());
    let status = fs::read_to_string(path).unwrap_or_default();
    let wakes = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
    (wakes.unwrap_or_default().to_string(), PROGRESS.load(Ordering::Relaxed))
}

/// How many times as long as usual everything may take.
fn patience() -> f64 {
    let Ok(set) = env::var("PRUNNER_TEST_LIMIT") else { return 1.0 };
    let set: u32 = set.parse().expect("PRUNNER_TEST_LIMIT is a number of seconds");
    f64::from(set) / LIMIT as f64
}

/// How many times longer things take than on a machine of one's own, at least 1.
fn load() -> f64 {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let running: f64 = averages.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0.0);
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    (running / cpus as f64).max(1.0)
}

/// Writes what is known and ends this process and those it has started.
fn end_stuck(what: &str) -> ! {
    write(&format!("\nstuck: {what}\n"));
    let family = snapshot::family();
    write(&snapshot::describe(&family));
    if snapshot::ask_for_last_words(&family) {
        thread::sleep(LAST_WORDS);
    }
    snapshot::kill_descendants(&family);
    process::abort();
}

/// Writes to the standard error. Another thread may be stuck with its lock, so that is left alone.
fn write(text: &str) {
    // Without a standard error there is nobody to read it.
    if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
        let _ = fs::File::from(stderr).write_all(text.as_bytes());
    }
}
