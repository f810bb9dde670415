//! Runs on worker processes whose handlers fork, crash, are slow in odd places, wait for each other or
//! overrun their limits. See `tests/reproducers.rs`.

use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    process::{self, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use prunner::{
    Context, Error, Key, Labeled, Merge, ParallelTaskRunner, Report, Runner, Sum, TaskResult,
};
use prunner_tests::{
    meeting::Invitation,
    verdict::{Call, check, check_ledger, report, tell},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SUM: Key<Sum<u64>> = Key::new("sum");
const LOCKED: Key<u64> = Key::new("locked");
const SLOW: Key<Slow<VALUE>> = Key::new("slow");

/// The lease of runs in which something takes longer than it.
const LEASE: Duration = Duration::from_millis(200);

/// How long that takes: more than twice the lease, after which a silent worker is killed.
const LONG: Duration = Duration::from_millis(700);

/// How many of [`TASKS`] abort.
const ABORTS: u64 = 60;
const TASKS: u64 = 1000;

/// Tasks that work under the lock, each for a moment that is shorter than the limit; to wait for all
/// that come before takes longer than it.
const LOCKERS: u64 = 24;
const UNDER_LOCK: Duration = Duration::from_millis(100);
const LOCK_LIMIT: Duration = Duration::from_millis(700);

/// What takes so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Code {
    Serialize,
    Deserialize,
    Label,
    Debug,
    Drop,
    /// The same of a value of the dict.
    SerializeValue,
    DeserializeValue,
    Merge,
}

impl Code {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "slow serialize" => Self::Serialize,
            "slow deserialize" => Self::Deserialize,
            "slow label" => Self::Label,
            "slow debug" => Self::Debug,
            "slow drop" => Self::Drop,
            "slow value serialize" => Self::SerializeValue,
            "slow value deserialize" => Self::DeserializeValue,
            "slow merge" => Self::Merge,
            _ => return None,
        })
    }
}

/// Where something slow is: in a task or in the dict.
const TASK: bool = false;
const VALUE: bool = true;

/// Something that is slow in one way.
struct Slow<const WHERE: bool> {
    number: u64,
    code: Code,
}

impl<const WHERE: bool> Slow<WHERE> {
    fn dawdle(&self, at: Code) {
        if self.code == at {
            thread::sleep(LONG);
        }
    }
}

impl<const WHERE: bool> Serialize for Slow<WHERE> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.dawdle(if WHERE == VALUE { Code::SerializeValue } else { Code::Serialize });
        (self.number, self.code).serialize(serializer)
    }
}

impl<'de, const WHERE: bool> Deserialize<'de> for Slow<WHERE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (number, code) = Deserialize::deserialize(deserializer)?;
        let slow = Self { number, code };
        slow.dawdle(if WHERE == VALUE { Code::DeserializeValue } else { Code::Deserialize });
        Ok(slow)
    }
}

impl<const WHERE: bool> Drop for Slow<WHERE> {
    fn drop(&mut self) {
        if WHERE == TASK {
            self.dawdle(Code::Drop);
        }
    }
}

impl Clone for Slow<VALUE> {
    fn clone(&self) -> Self {
        Self { number: self.number, code: self.code }
    }
}

impl Merge for Slow<VALUE> {
    fn merge(&mut self, other: Self) {
        self.dawdle(Code::Merge);
        self.number += other.number;
    }
}

#[derive(Serialize, Deserialize)]
enum Act {
    /// Posts the slow ones.
    Root(Code),
    Slow(Slow<TASK>),
    Add(u64),
    Abort(u64),
    /// Leaves a process behind that never ends: a copy of this one, or another program.
    Fork,
    Spawn,
    /// Meets the test and adds 1.
    Hold,
    /// Meets the test, aborts if the file was not there, and comes again.
    AbortOnce(String),
    Lock,
    /// Never returns.
    Park,
}

impl Labeled for Act {
    fn label(&self) -> &str {
        match self {
            Self::Root(_) => "Root",
            Self::Slow(slow) => {
                slow.dawdle(Code::Label);
                "Slow"
            }
            Self::Add(_) => "Add",
            Self::Abort(_) => "Abort",
            Self::Fork => "Fork",
            Self::Spawn => "Spawn",
            Self::Hold => "Hold",
            Self::AbortOnce(_) => "AbortOnce",
            Self::Lock => "Lock",
            Self::Park => "Park",
        }
    }

    fn fmt_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(slow) => {
                slow.dawdle(Code::Debug);
                write!(f, "{}", slow.number)
            }
            Self::Add(number) | Self::Abort(number) => write!(f, "{number}"),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Beset {
    scene: String,
    meeting: Invitation,
    /// A file that is not there.
    file: String,
}

impl ParallelTaskRunner for Beset {
    type Task = Act;

    fn begin(&self, cx: &mut Context<'_, Act>) -> TaskResult {
        if let Some(code) = Code::named(&self.scene) {
            cx.post(Act::Root(code));
            return Ok(());
        }
        match &*self.scene {
            "fork" => cx.post(Act::Fork),
            "spawn" => cx.post(Act::Spawn),
            "crashing batch" => cx.post_all((0..TASKS).map(|number| match number < ABORTS {
                true => Act::Abort(number),
                false => Act::Add(number),
            })),
            "frozen" | "expired" => cx.post(Act::Hold),
            "stranded" => {
                cx.post(Act::Hold);
                cx.flush();
                self.meeting.meet("begin");
                cx.post(Act::AbortOnce(self.file.clone()));
            }
            "lock queue" => cx.post_all((0..LOCKERS).map(|_| Act::Lock)),
            "overrun" => {
                cx.post(Act::Park);
                cx.post_all((0..10).map(Act::Add));
            }
            _ => cx.post_all((0..10).map(Act::Add)),
        }
        Ok(())
    }

    fn run(&self, act: &Act, cx: &mut Context<'_, Act>) -> TaskResult {
        match act {
            Act::Root(code) => {
                let code = *code;
                cx.post_all((0..3).map(|number| Act::Slow(Slow { number, code })));
            }
            Act::Slow(Slow { code: Code::Debug, .. }) => return Err("it fails as planned".into()),
            Act::Slow(slow) => {
                let &Slow { number, code } = slow;
                cx.merge(SUM, Sum(number));
                cx.merge(SLOW, Slow { number, code });
            }
            Act::Add(number) => cx.merge(SUM, Sum(*number)),
            Act::Abort(_) => process::abort(),
            Act::Fork => fork()?,
            Act::Spawn => spawn()?,
            Act::Hold => {
                self.meeting.meet("hold");
                cx.merge(SUM, Sum(1));
            }
            Act::AbortOnce(file) => {
                self.meeting.meet("once");
                if File::create_new(file).is_ok() {
                    process::abort();
                }
                self.meeting.leave("once again");
                cx.merge(SUM, Sum(1));
            }
            Act::Lock => {
                *cx.lock().entry(LOCKED).or_default() += 1;
                thread::sleep(UNDER_LOCK);
            }
            Act::Park => loop {
                thread::park();
            },
        }
        Ok(())
    }
}

/// The child waits for ever.
fn fork() -> TaskResult {
    // SAFETY: the child calls nothing but pause(2).
    match unsafe { libc::fork() } {
        0 => loop {
            // SAFETY: pause(2) takes nothing.
            unsafe { libc::pause() };
        },
        -1 => Err("there can be no child".into()),
        _ => Ok(()),
    }
}

/// The child is this program, which waits for ever in its only scene without a run.
fn spawn() -> TaskResult {
    let program = std::env::current_exe()?;
    let arguments = ["linger", "1", "1", "processes"];
    Command::new(program).args(arguments).stdin(Stdio::null()).spawn()?;
    Ok(())
}

fn judge(scene: &str, result: &Result<Report, Error>) -> Result<(), String> {
    if scene.starts_with("for ever") && result.as_ref().is_err_and(Error::is_config) {
        // To refuse the setting is as good as to take it for no limit.
        return Ok(());
    }
    let report = report(result)?;
    let sum = || report.dict().get(SUM).unwrap_or_default().0;
    let labels = || report.failures().iter().map(|it| it.label()).collect::<Vec<_>>();
    match scene {
        "slow debug" => {
            check_ledger(report, 1, 3)?;
            let planned = |it: &&prunner::Failure| it.message() == "it fails as planned";
            check("failed as planned", report.failures().iter().filter(planned).count(), 3)
        }
        _ if Code::named(scene).is_some() => {
            check_ledger(report, 4, 0)?;
            let slow = report.dict().get(SLOW).map(|slow| slow.number);
            check("the sums", (sum(), slow), (3, Some(3)))
        }
        "fork" | "spawn" => check_ledger(report, 1, 0),
        "crashing batch" => {
            check_ledger(report, TASKS - ABORTS, ABORTS)?;
            check("the sum", sum(), (ABORTS..TASKS).sum())?;
            check("labels", labels(), vec!["Abort"; ABORTS as usize])?;
            let named: BTreeSet<_> = report.failures().iter().filter_map(|it| it.data()).collect();
            check("tasks that are named", named.len() as u64, ABORTS)
        }
        "frozen" | "expired" => {
            check_ledger(report, 1, 0)?;
            check("the sum", sum(), 1)
        }
        "stranded" => {
            check_ledger(report, 2, 0)?;
            check("the sum", sum(), 2)
        }
        "lock queue" => {
            check_ledger(report, LOCKERS, 0)?;
            check("counted under the lock", report.dict().get(LOCKED), Some(LOCKERS))
        }
        "overrun" => {
            check_ledger(report, 10, 1)?;
            check("labels", labels(), vec!["Park"])?;
            let message = report.failures()[0].message();
            match message.contains("max_task_time") && message.contains("300ms") {
                true => check("the sum", sum(), 45),
                false => Err(format!("neither the limit nor its name: {message}")),
            }
        }
        _ => {
            check_ledger(report, 10, 0)?;
            check("the sum", sum(), 45)
        }
    }
}

fn set(scene: &str, runner: Runner<Beset>) -> Runner<Beset> {
    match scene {
        _ if Code::named(scene).is_some() => runner.lease(LEASE),
        "crashing batch" => runner.tolerate_dead(true),
        "frozen" | "expired" => runner.lease(LEASE),
        // The limit is looked at a few times a lease.
        "lock queue" => runner.max_task_time(LOCK_LIMIT).lease(Duration::from_secs(1)),
        "overrun" => {
            runner.max_task_time(Duration::from_millis(300)).lease(Duration::from_secs(30))
        }
        "for ever: lease" => runner.lease(Duration::MAX),
        "for ever: max_cpu_time" => runner.max_cpu_time(Duration::MAX),
        "for ever: max_task_time" => runner.max_task_time(Duration::MAX),
        _ => runner,
    }
}

fn main() -> ExitCode {
    prunner::worker_entry::<Beset>();
    let call = Call::of_this_program();
    let scene = call.scene.clone();
    if scene == "linger" {
        loop {
            thread::park();
        }
    }
    let meeting = Invitation::to(call.rest.first().cloned().unwrap_or_default());
    let file = call.rest.get(1).cloned().unwrap_or_default();
    let beset = Beset { scene: scene.clone(), meeting, file };
    let result = set(&scene, call.runner(beset)).start();
    tell(judge(&scene, &result))
}
