//! A run on worker processes that checks itself; `tests/crash.rs` kills its workers meanwhile.
//!
//! Every update carries a check sum, so that one lost and one doubled do not make up for each other. What
//! a run must come to is found by plain loops over the seed, without prunner.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File, OpenOptions},
    io::Write,
    ops::Range,
    panic::resume_unwind,
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use prunner::{
    Context, Dict, Error, Key, Labeled, Merge, Order, ParallelTaskRunner, Priority, Report, Runner,
    TaskResult,
};
use prunner_tests::{
    log_lines::print_warnings,
    logbook::{Deed, Entry, Logbook},
    random::Random,
};
use serde::{Deserialize, Serialize};

/// The updates that were merged.
const MERGED: Key<Updates> = Key::new("merged");

/// The updates that were made under the lock.
const LOCKED: Key<Updates> = Key::new("locked");

/// The answer was wrong.
const WRONG: u8 = 70;

/// There was no answer.
const NO_ANSWER: u8 = 71;

/// Updates of the dict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Updates {
    count: u64,
    sum: u64,
    check: u64,
}

impl Updates {
    fn one(value: u64) -> Self {
        Self { count: 1, sum: value, check: Random::new(value).draw() }
    }
}

impl Merge for Updates {
    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.check = self.check.wrapping_add(other.check);
    }
}

/// Which tasks there are and what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Program {
    /// `sum_up` with merges.
    Merges,
    /// `sum_up` with the lock.
    Lock,
    /// A random tree whose nodes write under the lock.
    Tree,
    /// Merges, the lock, priorities, and tasks that fail after they have done all of it.
    Mix,
}

/// What the program does wrong on purpose, beyond what prunner can make good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fault {
    /// It counts in a file what handlers do, also those that are started again.
    Double,
    /// It notes in files what was done, before that is committed, and does not do it again.
    Lose,
}

/// The program, as it travels to the workers.
#[derive(Debug, Serialize, Deserialize)]
struct Target {
    program: Program,
    size: u64,
    seed: u64,
    fault: Option<Fault>,
    /// A directory for the faults.
    scratch: PathBuf,
    /// How long a few tasks take, in milliseconds.
    long: u64,
    /// Where handlers note what they do, if they do.
    log: Option<PathBuf>,
}

#[derive(Debug, Labeled, Serialize, Deserialize)]
enum Step {
    Init(Range<u64>),
    AddOne(u64),
    Double(u64),
    SumUp { number: u64, twin: bool },
    Fail(u64),
    Node { seed: u64, height: u64 },
}

impl Step {
    /// A number that no other task of the run has.
    fn id(&self) -> u64 {
        let (kind, number) = match *self {
            Step::Init(_) => (1, 0),
            Step::AddOne(number) => (2, number),
            Step::Double(number) => (3, number),
            Step::SumUp { number, twin } => (4 + u64::from(twin), number),
            Step::Fail(number) => (6, number),
            Step::Node { seed, height } => (7 + height, seed),
        };
        Random::new(number ^ Random::new(kind).draw()).draw()
    }
}

/// What a run must come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Truth {
    finished: u64,
    dead: u64,
    merged: Updates,
    locked: Updates,
    /// All tasks, and whether they change the dict.
    tasks: HashMap<u64, bool>,
}

impl Truth {
    fn add(&mut self, step: &Step) {
        let changes = matches!(step, Step::SumUp { .. } | Step::Node { .. });
        let other = self.tasks.insert(step.id(), changes);
        assert_eq!(other, None, "two tasks have one number: {step:?}");
    }
}

impl Target {
    fn truth(&self) -> Truth {
        let mut truth = Truth::default();
        if self.program == Program::Tree {
            let mut open = self.roots();
            while let Some((seed, height)) = open.pop() {
                let (value, children) = plan(seed, height);
                truth.finished += 1;
                truth.add(&Step::Node { seed, height });
                truth.locked.merge(Updates::one(value));
                open.extend(children);
            }
            return truth;
        }
        for number in 0..self.size {
            truth.finished += 4;
            truth.add(&Step::AddOne(number));
            truth.add(&Step::Double(number + 1));
            if self.fails(number) {
                truth.dead += 1;
                truth.add(&Step::Fail(number));
            }
            for twin in [false, true] {
                let number = number + 1;
                truth.add(&Step::SumUp { number, twin });
                let updates =
                    if self.locks(number) { &mut truth.locked } else { &mut truth.merged };
                updates.merge(Updates::one(number));
            }
        }
        // The one that posts half of the numbers.
        truth.finished += 1;
        truth.add(&Step::Init(0..0));
        truth
    }

    /// Takes its time if it is one of the few that do. A pause of the process adds to it: it is no work.
    fn dawdle(&self, step: &Step) {
        let dawdles = match *step {
            Step::SumUp { number, twin } => !twin && (number == self.size / 2 || number == 7),
            Step::Node { seed, .. } => seed == Random::new(self.seed).draw(),
            _ => false,
        };
        if dawdles {
            (0..self.long / 5).for_each(|_| thread::sleep(Duration::from_millis(5)));
        }
    }

    /// Notes what is done for a task.
    fn note(&self, deed: Deed, step: &Step) {
        static LOG: OnceLock<Logbook> = OnceLock::new();
        if let Some(path) = &self.log {
            let open = || Logbook::open(path).expect("the logbook can be opened");
            LOG.get_or_init(open).note(deed, step.id());
        }
    }

    /// Seeds and heights of the trees' roots.
    fn roots(&self) -> Vec<(u64, u64)> {
        let mut random = Random::new(self.seed);
        (0..self.size / 14).map(|_| (random.draw(), 5)).collect()
    }

    fn locks(&self, number: u64) -> bool {
        match self.program {
            Program::Merges => false,
            Program::Lock | Program::Tree => true,
            Program::Mix => number.is_multiple_of(3),
        }
    }

    fn fails(&self, number: u64) -> bool {
        // Few enough for the report to keep all of them.
        self.program == Program::Mix && number % (self.size / 50).max(7) == 3
    }

    fn update(&self, value: u64, cx: &mut Context<'_, Step>) {
        if self.locks(value) {
            cx.lock().entry(LOCKED).or_default().merge(Updates::one(value));
        } else {
            cx.merge(MERGED, Updates::one(value));
        }
    }

    /// Whether the planted fault lets this update count.
    fn counts(&self, number: u64, twin: bool) -> Result<bool, std::io::Error> {
        match self.fault {
            None => Ok(true),
            Some(Fault::Double) => {
                let file = OpenOptions::new().append(true).create(true).open(self.counter());
                file?.write_all(b"+")?;
                Ok(true)
            }
            Some(Fault::Lose) => {
                let mark = self.scratch.join(format!("{number}-{twin}"));
                Ok(File::create_new(mark).is_ok())
            }
        }
    }

    fn counter(&self) -> PathBuf {
        self.scratch.join("counter")
    }
}

/// The value of a node and its children.
fn plan(seed: u64, height: u64) -> (u64, Vec<(u64, u64)>) {
    let mut random = Random::new(seed);
    let value = random.below(1000);
    let children = if height == 0 { 0 } else { random.below(5) };
    (value, (0..children).map(|_| (random.draw(), height - 1)).collect())
}

/// Works for about 10 us, now and then for half a millisecond.
fn work(seed: u64) {
    let mut random = Random::new(seed);
    let nanos = if random.one_in(500) { 500_000 } else { random.below(20_000) };
    let start = Instant::now();
    while start.elapsed() < Duration::from_nanos(nanos) {
        std::hint::spin_loop();
    }
}

impl ParallelTaskRunner for Target {
    type Task = Step;

    fn begin(&self, cx: &mut Context<'_, Step>) -> TaskResult {
        if self.program == Program::Tree {
            cx.post_all(self.roots().into_iter().map(|(seed, height)| Step::Node { seed, height }));
            return Ok(());
        }
        // Half of it by a task, half of it here, so that workers die during `begin`, too.
        cx.post(Step::Init(0..self.size / 2));
        for number in self.size / 2..self.size {
            cx.post(Step::AddOne(number));
            if number.is_multiple_of(64) {
                work(number);
            }
        }
        Ok(())
    }

    fn run(&self, step: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        self.note(Deed::Start, step);
        let result = self.handle(step, cx);
        self.note(Deed::Return, step);
        result
    }

    fn end(&self, _: &Dict) -> TaskResult {
        println!("end");
        Ok(())
    }
}

impl Target {
    fn handle(&self, step: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        match *step {
            Step::Init(ref numbers) => cx.post_all(numbers.clone().map(Step::AddOne)),
            Step::AddOne(number) => {
                work(self.seed ^ number);
                if self.fails(number) {
                    cx.post_with(Priority::Low, Step::Fail(number));
                }
                let priority = match (self.program, number % 3) {
                    (Program::Mix, 0) => Priority::High,
                    (Program::Mix, 1) => Priority::Low,
                    _ => Priority::Normal,
                };
                cx.post_with(priority, Step::Double(number + 1));
            }
            Step::Double(number) => {
                cx.post_all([false, true].map(|twin| Step::SumUp { number, twin }));
            }
            Step::SumUp { number, twin } => {
                if self.counts(number, twin)? {
                    self.update(number, cx);
                    self.note(Deed::Effect, step);
                }
                self.dawdle(step);
                work(self.seed ^ (number << 1) ^ u64::from(twin));
            }
            Step::Fail(number) => {
                // None of this may ever be seen.
                cx.post(Step::SumUp { number: 1 << 20, twin: true });
                cx.merge(MERGED, Updates::one(1 << 20));
                if number.is_multiple_of(2) {
                    cx.lock().entry(LOCKED).or_default().merge(Updates::one(1 << 20));
                }
                work(number);
                if number.is_multiple_of(3) {
                    self.note(Deed::Return, step);
                    // Without the message that a panic prints.
                    resume_unwind(Box::new("it panics as planned"));
                }
                return Err("it fails as planned".into());
            }
            Step::Node { seed, height } => {
                let (value, children) = plan(seed, height);
                cx.post_all(children.into_iter().map(|(seed, height)| Step::Node { seed, height }));
                work(seed);
                self.dawdle(step);
                self.update(value, cx);
                self.note(Deed::Effect, step);
            }
        }
        Ok(())
    }
}

/// What is wrong with the result, if anything.
fn judge(target: &Target, truth: &Truth, report: &Report) -> Result<(), String> {
    let ledger = report.ledger();
    let updates = |key| report.dict().get(key).unwrap_or_default();
    let mut merged = updates(MERGED);
    if target.fault == Some(Fault::Double) {
        merged.count = fs::metadata(target.counter()).map_or(0, |counter| counter.len());
    }
    check("posted", truth.finished + truth.dead, ledger.posted)?;
    check("finished", truth.finished, ledger.finished)?;
    check("dead", truth.dead, ledger.dead)?;
    check("left", 0, ledger.left)?;
    check("merged", truth.merged, merged)?;
    check("locked", truth.locked, updates(LOCKED))?;
    // Each of those that must die is dead once.
    let dead: Vec<_> = report.failures().iter().map(|it| (it.label(), it.data())).collect();
    let distinct: BTreeSet<_> = dead.iter().collect();
    check("failures that are told", truth.dead, distinct.len() as u64)?;
    check("failures", dead.len(), distinct.len())?;
    let strange = dead.iter().find(|(label, _)| *label != "Fail");
    check("a task that must not die", None, strange)?;
    judge_log(target, truth)
}

/// What is wrong with what handlers have noted: a handler may start again, but each task has returned.
fn judge_log(target: &Target, truth: &Truth) -> Result<(), String> {
    let Some(path) = &target.log else { return Ok(()) };
    let log = Logbook::read(path).map_err(|error| format!("the logbook: {error}"))?;
    check("tasks in the logbook", truth.tasks.len(), log.len())?;
    for (task, changes) in &truth.tasks {
        let entry = log.get(task).copied().unwrap_or_default();
        let Entry { starts, effects, returns } = entry;
        let at_least = u64::from(*changes);
        if returns < 1 || starts < returns || effects < at_least || effects > starts {
            return Err(format!("the logbook says of a task: {entry:?}"));
        }
    }
    Ok(())
}

fn check<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, got: T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, not {expected:?}"))
}

fn flag<T: FromStr>(name: &str) -> Option<T> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    let text = arguments.next()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} {text} makes no sense")))
}

fn program() -> Program {
    match flag::<String>("--program").as_deref() {
        Some("merges") => Program::Merges,
        Some("lock") => Program::Lock,
        Some("tree") => Program::Tree,
        Some("mix") => Program::Mix,
        other => panic!("--program merges, lock, tree or mix, not {other:?}"),
    }
}

fn fault() -> Option<Fault> {
    flag::<String>("--fault").map(|fault| match &*fault {
        "double" => Fault::Double,
        "lose" => Fault::Lose,
        other => panic!("--fault double or lose, not {other}"),
    })
}

fn target() -> Target {
    Target {
        program: program(),
        size: flag("--size").unwrap_or(2000),
        seed: flag("--seed").unwrap_or(1),
        fault: fault(),
        scratch: flag("--scratch").unwrap_or_default(),
        long: flag("--long").unwrap_or(0),
        log: flag("--log"),
    }
}

fn main() -> ExitCode {
    prunner::worker_entry::<Target>();
    print_warnings();
    let truth = target().truth();
    let oldest_first = flag("--oldest-first").unwrap_or(false);
    println!("begin");
    let result = Runner::new(target())
        .workers(flag("--workers").unwrap_or(2))
        .processes()
        .threads(flag("--threads").unwrap_or(1))
        .lease(Duration::from_millis(flag("--lease").unwrap_or(10_000)))
        .prefix_output(flag("--prefix").unwrap_or(false))
        .order(if oldest_first { Order::Fifo } else { Order::Lifo })
        .start();
    tell(&truth, result)
}

fn tell(truth: &Truth, result: Result<Report, Error>) -> ExitCode {
    let (report, code) = match &result {
        Ok(report) => (Some(report), 0),
        Err(error) if error.is_dead() => (error.report(), error.exit_code()),
        Err(error) => {
            println!("error: {error}");
            (error.report(), NO_ANSWER)
        }
    };
    let Some(report) = report else { return ExitCode::from(NO_ANSWER) };
    println!("ledger: {}", report.ledger());
    match judge(&target(), truth, report) {
        Ok(()) => {
            println!("verdict: exact");
            ExitCode::from(code)
        }
        Err(why) => {
            report.failures().iter().for_each(|failure| println!("failure: {failure}"));
            println!("verdict: WRONG: {why}");
            ExitCode::from(if code == NO_ANSWER { code } else { WRONG })
        }
    }
}
