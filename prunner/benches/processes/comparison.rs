//! What each workload compares with what.

use std::process::{Command, Stdio};
use std::{cell::Cell, env, thread};

use crate::harness::flags::Flags;
use crate::harness::line::Line;
use crate::harness::rounds::{Sample, Summary, Variant, interleave};
use crate::programs::spin::{rounds_of_100_us, work};
use crate::programs::{by_calls, flat, gcd, payload, spin, start, sum_up};
use crate::python::Python;
use crate::result::{Unit, line};
use crate::word;
use crate::{memory, steps, tree};

/// prunner and its peers with one number of workers.
pub(crate) struct Comparison<'f> {
    flags: &'f Flags,
    workers: usize,
    python: Option<&'f Python>,
}

/// The pools get a fifth of the small tasks; their time is still given per task.
const LESS: u64 = 5;

impl<'f> Comparison<'f> {
    pub(crate) fn new(flags: &'f Flags, workers: usize, python: Option<&'f Python>) -> Self {
        Comparison { flags, workers, python }
    }

    fn line(&self, name: &str, unit: Unit, summaries: &[Summary], goal: Option<&str>) -> Line {
        line(name, self.workers, unit, summaries, goal)
    }

    fn interleave(&self, variants: Vec<Variant<'_>>) -> Vec<Summary> {
        interleave(variants, self.flags.rounds())
    }

    pub(crate) fn sum_up(&self, numbers: u64) -> Line {
        self.sum("sum_up", sum_up::run, self.flags.size(numbers))
    }

    pub(crate) fn sum_up_calls(&self, numbers: u64) -> Line {
        self.sum("sum_up_calls", by_calls::run, self.flags.size(numbers))
    }

    fn sum(&self, name: &str, run: fn(u64, usize) -> u64, numbers: u64) -> Line {
        let prunner = Variant::new("prunner", || {
            tree::time(sum_up::tasks(numbers), || {
                assert_eq!(run(numbers, self.workers), sum_up::expected(numbers), "{name}");
            })
        });
        let summaries = self.interleave(vec![prunner]);
        self.line(name, Unit::NanosATask, &summaries, Some("10_million_per_s"))
    }

    /// A whole program from exec to exit.
    pub(crate) fn program(&self, numbers: u64) -> Line {
        let check = |answer: &str, who: &str| {
            assert_eq!(answer.trim(), sum_up::expected(numbers).to_string(), "{who}");
        };
        let mut variants = vec![Variant::new("prunner", || {
            tree::time(1, || check(&self.alone("sum_up", numbers), "prunner"))
        })];
        let peers = [
            ("executor", "sum_up_executor.py"),
            ("joinable_queue", "sum_up_queue.py"),
            ("stages", "sum_up_stages.py"),
        ];
        if let Some(python) = self.python {
            variants.extend(peers.map(|(name, script)| {
                Variant::new(name, move || {
                    let run = || check(&python.run(script, &[&numbers, &self.workers]), script);
                    tree::time(1, run)
                })
            }));
        }
        let summaries = self.interleave(variants);
        self.line("program", Unit::Millis, &summaries, Some("25_ms,executor_ratio_30"))
    }

    fn alone(&self, name: &str, size: u64) -> String {
        let program = env::current_exe().expect("this program has a file");
        let output = Command::new(program)
            .args([word::ALONE, name, &size.to_string(), &self.workers.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .expect("this program can be started");
        assert!(output.status.success(), "{name} failed: {}", output.status);
        String::from_utf8(output.stdout).expect("the programs print numbers")
    }

    pub(crate) fn flat(&self, tasks: u64) -> Line {
        let tasks = self.flags.size(tasks);
        let mut variants =
            vec![Variant::new("prunner", || tree::time(tasks, || flat::run(tasks, self.workers)))];
        let chunks = [("imap_1", 1), ("imap_100", 100), ("imap_1000", 1000)];
        if let Some(python) = self.python {
            let less = tasks / LESS;
            variants.extend(chunks.map(|(name, chunk)| {
                Variant::new(name, move || {
                    python.time("flat_pool.py", &[&less, &self.workers, &chunk], less, less)
                })
            }));
        }
        let summaries = self.interleave(variants);
        self.line("flat", Unit::NanosATask, &summaries, Some("imap_1_ratio_20"))
    }

    pub(crate) fn payload(&self, tasks: u64) -> Line {
        let tasks = self.flags.size(tasks);
        let expected = payload::expected(tasks);
        let prunner = Variant::new("prunner", || {
            tree::time(tasks, || {
                assert_eq!(payload::run(tasks, self.workers), expected, "payload");
            })
        });
        let summaries = self.interleave(vec![prunner]);
        self.line("payload", Unit::NanosATask, &summaries, Some("1_million_per_s"))
    }

    pub(crate) fn memory(&self, tasks: u64) -> Line {
        let prunner = Variant::new("prunner", || memory::in_the_middle(tasks, self.workers));
        let summaries = self.interleave(vec![prunner]);
        self.line("memory", Unit::Mebibytes, &summaries, Some("30_MiB"))
    }

    pub(crate) fn start(&self) -> Vec<Line> {
        // One run gives two figures.
        let last = Cell::new(0.0);
        let variants = vec![
            Variant::new("prunner", || {
                let mut first = 0.0;
                let sample = tree::time(1, || {
                    let times = start::run(self.workers);
                    assert_eq!(times.2, self.workers, "some worker has run nothing");
                    first = times.0.as_nanos() as f64;
                    last.set(times.1.as_nanos() as f64);
                });
                Sample { value: first, ..sample }
            }),
            Variant::new("prunner", || Sample { value: last.get(), tail: None, cpu_wall: 0.0 }),
        ];
        let summaries = self.interleave(variants);
        let (first, all) = summaries.split_at(1);
        vec![
            self.line("start_first_task", Unit::Millis, first, Some("10_ms")),
            self.line("start_all_workers", Unit::Millis, all, None),
        ]
    }

    pub(crate) fn spin(&self, tasks: u64) -> Line {
        let tasks = self.flags.size(tasks);
        let rounds = rounds_of_100_us();
        let serially = move |tasks: u64| (0..tasks).for_each(|_| work(rounds));
        let variants = vec![
            Variant::new("prunner", || {
                tree::time(tasks, || spin::run(tasks, rounds, self.workers))
            }),
            Variant::new("serial", || tree::time(tasks, || serially(tasks))),
            Variant::new("two_threads", || {
                tree::time(tasks, || {
                    thread::scope(|scope| {
                        scope.spawn(|| serially(tasks / 2));
                        serially(tasks / 2);
                    });
                })
            }),
        ];
        let summaries = self.interleave(variants);
        let ideal = summaries[1].median / 2.0 / summaries[0].median;
        self.line("spin100us", Unit::NanosATask, &summaries, Some("ideal_95%"))
            .percent("ideal", Some(100.0 * ideal))
    }

    pub(crate) fn gcd(&self) -> Line {
        let expected = gcd::serial();
        let mut variants = vec![
            Variant::new("prunner", || {
                tree::time(1, || assert_eq!(gcd::run(self.workers), expected, "gcd"))
            }),
            Variant::new("serial", || tree::time(1, || assert_eq!(gcd::serial(), expected, "gcd"))),
        ];
        if let Some(python) = self.python {
            let peers = [("executor", self.workers), ("python_serial", 0)];
            variants.extend(peers.map(|(name, workers)| {
                Variant::new(name, move || python.time("gcd_executor.py", &[&workers], 1, expected))
            }));
        }
        self.line("gcd", Unit::Millis, &self.interleave(variants), None)
    }

    pub(crate) fn steps(&self) -> Vec<Line> {
        steps::measure(self.flags, self.python)
    }
}
