//! Runs whose own code panics where programs seldom do: in `Serialize` and `Deserialize`, in merges, in
//! the texts and the destructors of tasks; and a lock that is never let go. See `tests/reproducers.rs`.

use std::{
    error::Error as StdError,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
};

use prunner::{
    Context, Error, Key, Labeled, Merge, ParallelTaskRunner, Report, Runner, Sum, TaskResult,
};
use prunner_tests::verdict::{Call, Engine, check, check_ledger, report, tell};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number that is odd.
const ODD: u64 = 13;

/// Numbers are posted from 0 up to this.
const NUMBERS: u64 = 20;

const SUM: Key<Sum<u64>> = Key::new("sum");
const FUSSY: Key<Fussy> = Key::new("fussy");
const SMALL: Key<Sum<u8>> = Key::new("small");
const LOCKED: Key<u64> = Key::new("locked");

/// What is odd about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Quirk {
    /// Each of these panics.
    Serialize,
    Deserialize,
    Label,
    Debug,
    Drop,
    /// The error that its handler returns panics when it is asked for its text.
    Display,
    /// Its handler merges two values that cannot be merged.
    Merge,
    /// Two handlers merge one such value each.
    Join,
    /// All numbers are merged into an entry that is too small, while others hold the lock.
    Overflow,
    /// Its handler never drops the lock.
    Leak,
}

impl Quirk {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "serialize" | "serialize in begin" => Self::Serialize,
            "deserialize" => Self::Deserialize,
            "label" => Self::Label,
            "debug" => Self::Debug,
            "drop" => Self::Drop,
            "display" => Self::Display,
            "merge" => Self::Merge,
            "join" => Self::Join,
            "overflow beside the lock" => Self::Overflow,
            "leaked lock" => Self::Leak,
            _ => return None,
        })
    }
}

/// A task's data.
struct Number {
    value: u64,
    quirk: Quirk,
}

impl Number {
    fn trip(&self, over: Quirk) {
        if self.value == ODD && self.quirk == over && !std::thread::panicking() {
            panic!("{over:?} of {ODD}");
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.trip(Quirk::Serialize);
        (self.value, self.quirk).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (value, quirk) = Deserialize::deserialize(deserializer)?;
        let number = Self { value, quirk };
        number.trip(Quirk::Deserialize);
        Ok(number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.trip(Quirk::Drop);
    }
}

#[derive(Serialize, Deserialize)]
enum Item {
    /// Posts the numbers.
    Root,
    Number(Number),
}

impl Labeled for Item {
    fn label(&self) -> &str {
        match self {
            Self::Root => "Root",
            Self::Number(number) => {
                number.trip(Quirk::Label);
                "Number"
            }
        }
    }

    fn fmt_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Number(number) = self else { return Ok(()) };
        number.trip(Quirk::Debug);
        write!(f, "{}", number.value)
    }
}

/// A value that does not like to be merged with its like.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Fussy(u64);

impl Merge for Fussy {
    fn merge(&mut self, other: Self) {
        assert!(self.0 != ODD || other.0 != ODD, "Merge of {ODD}");
        self.0 = self.0.max(other.0);
    }
}

/// An error without a text.
#[derive(Debug)]
struct Wordless;

impl fmt::Display for Wordless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("Display of {ODD}");
    }
}

impl StdError for Wordless {}

#[derive(Debug, Serialize, Deserialize)]
struct Panicking {
    quirk: Quirk,
    /// Whether `begin` posts the numbers, not a task.
    from_begin: bool,
}

impl Panicking {
    fn numbers(&self) -> u64 {
        if self.quirk == Quirk::Overflow { 400 } else { NUMBERS }
    }

    fn post(&self, cx: &mut Context<'_, Item>) {
        let quirk = self.quirk;
        cx.post_all((0..self.numbers()).map(|value| Item::Number(Number { value, quirk })));
    }

    fn judge(&self, result: &Result<Report, Error>) -> Result<(), String> {
        let (numbers, all) = (self.numbers(), self.numbers() * (self.numbers() - 1) / 2);
        let broken_by = match self.quirk {
            Quirk::Join => "fussy",
            Quirk::Overflow => "small",
            Quirk::Leak => "lock",
            _ => return self.judge_dead(report(result)?, numbers, all),
        };
        match result {
            Err(error) if error.is_dict() && error.to_string().contains(broken_by) => Ok(()),
            Err(error) => Err(format!("not an error of the dict that names {broken_by}: {error}")),
            Ok(report) => Err(format!("no error: {}", report.ledger())),
        }
    }

    /// The odd one is dead with the reason, all others have finished.
    fn judge_dead(&self, report: &Report, numbers: u64, all: u64) -> Result<(), String> {
        check_ledger(report, numbers, 1)?;
        check("the sum", report.dict().get(SUM).unwrap_or_default().0, all - ODD)?;
        let [failure] = report.failures() else { return Err("not one failure".into()) };
        let reason = match self.quirk {
            Quirk::Debug => "13 fails".to_string(),
            quirk => format!("{quirk:?} of {ODD}"),
        };
        check("the reason is there", failure.message().contains(&reason), true)
            .map_err(|why| format!("{why}: {failure}"))?;
        // What cannot be read has no name, nor has what panics when it is asked for it.
        match self.quirk {
            Quirk::Deserialize | Quirk::Label => Ok(()),
            _ => check("the label", failure.label(), "Number"),
        }
    }
}

impl ParallelTaskRunner for Panicking {
    type Task = Item;

    fn begin(&self, cx: &mut Context<'_, Item>) -> TaskResult {
        cx.post(Item::Root);
        if self.from_begin {
            self.post(cx);
        }
        Ok(())
    }

    fn run(&self, item: &Item, cx: &mut Context<'_, Item>) -> TaskResult {
        let Item::Number(number) = item else {
            if !self.from_begin {
                self.post(cx);
            }
            return Ok(());
        };
        cx.merge(SUM, Sum(number.value));
        match number.quirk {
            Quirk::Overflow => {
                cx.merge(SMALL, Sum(1));
                *cx.lock().entry(LOCKED).or_default() += 1;
            }
            Quirk::Join if number.value == ODD + 1 => cx.merge(FUSSY, Fussy(ODD)),
            _ if number.value != ODD => {}
            Quirk::Debug => return Err("13 fails".into()),
            Quirk::Display => return Err(Wordless.into()),
            Quirk::Merge => (0..2).for_each(|_| cx.merge(FUSSY, Fussy(ODD))),
            Quirk::Join => cx.merge(FUSSY, Fussy(ODD)),
            Quirk::Leak => std::mem::forget(cx.lock()),
            _ => {}
        }
        Ok(())
    }
}

/// A merge that panics in `begin`, and is caught: each task is dropped once all the same.
mod caught {
    use super::*;

    /// Posts after it.
    const AFTER: u64 = 2000;

    static MADE: AtomicU64 = AtomicU64::new(0);
    static DROPPED: AtomicU64 = AtomicU64::new(0);

    /// Its data is on the heap: a second drop would be found by the allocator, too.
    #[derive(Labeled)]
    struct Counted(Box<u64>);

    impl Counted {
        fn new(value: u64) -> Self {
            MADE.fetch_add(1, Ordering::Relaxed);
            Self(Box::new(value))
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Posts so many before the merge that panics: one of these numbers fills the queue.
    struct Catches(u64);

    impl ParallelTaskRunner for Catches {
        type Task = Counted;

        fn begin(&self, cx: &mut Context<'_, Counted>) -> TaskResult {
            (0..self.0).for_each(|value| cx.post(Counted::new(value)));
            cx.merge(SMALL, Sum(200));
            cx.post(Counted::new(0));
            // The two are joined now, or when the next task is posted, or when `begin` has returned.
            let _ = catch_unwind(AssertUnwindSafe(|| cx.merge(SMALL, Sum(200))));
            let _ = catch_unwind(AssertUnwindSafe(|| cx.post(Counted::new(1))));
            (0..AFTER).for_each(|value| cx.post(Counted::new(value)));
            Ok(())
        }

        fn run(&self, counted: &Counted, _: &mut Context<'_, Counted>) -> TaskResult {
            std::hint::black_box(*counted.0);
            Ok(())
        }
    }

    pub(super) fn play(call: &Call) -> Result<(), String> {
        let biased = call.engine == Engine::Biased;
        let count = || (MADE.load(Ordering::Relaxed), DROPPED.load(Ordering::Relaxed));
        for before in 0..70 {
            let (made_before, _) = count();
            let catches = Catches(before);
            let result = Runner::new(catches).workers(call.workers).membarrier(biased).start();
            let (made, dropped) = count();
            check("dropped", dropped, made)?;
            check("posted", made - made_before, before + 2 + AFTER)?;
            if let Err(error) = result
                && !error.to_string().contains("overflows")
                && !(error.is_dict() && error.to_string().contains("small"))
            {
                return Err(error.to_string());
            }
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    prunner::worker_entry::<Panicking>();
    let call = Call::of_this_program();
    if call.scene == "caught merge" {
        return tell(caught::play(&call));
    }
    let quirk = Quirk::named(&call.scene).unwrap_or_else(|| panic!("no scene {}", call.scene));
    // What a task posts is mostly run where it was posted, and not read before.
    let from_begin = matches!(&*call.scene, "serialize in begin" | "deserialize");
    let panicking = || Panicking { quirk, from_begin };
    let result = call.runner(panicking()).start();
    tell(panicking().judge(&result))
}
