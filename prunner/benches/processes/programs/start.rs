//! `start`: how long it takes until handlers run. Tasks sleep, so that every worker gets one and
//! none takes a core from another that is only just starting.

use std::{collections::BTreeMap, thread, time::Duration};

use prunner::{Context, Key, Labeled, Min, ParallelTaskRunner, TaskResult};
use serde::{Deserialize, Serialize};

/// When each worker ran its first task.
const FIRST: Key<BTreeMap<usize, Min<u64>>> = Key::new("first");

const TASKS_A_WORKER: u64 = 10;

#[derive(Labeled, Serialize, Deserialize)]
pub(crate) struct Sleep;

#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    tasks: u64,
}

impl ParallelTaskRunner for Start {
    type Task = Sleep;

    fn begin(&self, cx: &mut Context<'_, Sleep>) -> TaskResult {
        cx.post_all((0..self.tasks).map(|_| Sleep));
        Ok(())
    }

    fn run(&self, _: &Sleep, cx: &mut Context<'_, Sleep>) -> TaskResult {
        cx.merge(FIRST, BTreeMap::from([(cx.worker(), Min(now()))]));
        thread::sleep(Duration::from_millis(2));
        Ok(())
    }
}

/// How long after the call the first worker, and the last, ran its first task; and how many ran any.
pub(crate) fn run(workers: usize) -> (Duration, Duration, usize) {
    let tasks = TASKS_A_WORKER * workers as u64;
    let begin = now();
    let report = super::start(Start { tasks }, workers, tasks);
    let firsts = report.dict().get(FIRST).expect("tasks were run");
    let after = |time: Option<u64>| Duration::from_nanos(time.expect("tasks were run") - begin);
    let times = || firsts.values().map(|time| time.0);
    (after(times().min()), after(times().max()), firsts.len())
}

/// Nanoseconds on a clock that is the same in all processes.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec during the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    assert_eq!(failed, 0, "this system has no monotonic clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
