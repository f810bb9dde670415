//! Memory of a run, seen from outside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::{env, thread, time::Duration};

use crate::harness::rounds::Sample;
use crate::tree;
use crate::word;

/// Runs the program `busy` and looks at it in the middle, when every worker has run a task and all
/// of them go on. The sample is in MiB, parent and workers together.
pub(crate) fn in_the_middle(tasks: u64, workers: usize) -> Sample {
    let mut program = busy(tasks, workers);
    let lines = BufReader::new(program.stdout.take().expect("it is piped")).lines();
    let mut lines = lines.map(|line| line.expect("the program prints text"));
    let number = |line: String| line.parse::<u32>().expect("the program prints numbers");
    let pids: Vec<u32> = lines.by_ref().take(workers).map(number).collect();
    // Past the start.
    thread::sleep(Duration::from_millis(50));
    let all = || pids.iter().copied().chain([program.id()]);
    let sizes: Option<Vec<u64>> = all().map(tree::pss).collect();
    let sizes = sizes.expect("all workers are there: the run must be longer than its start");
    let answer = lines.next().map(number);
    assert_eq!(answer, Some(tasks as u32), "busy gave a wrong answer");
    assert!(program.wait().is_ok_and(|status| status.success()), "busy failed");
    Sample { value: sizes.iter().sum::<u64>() as f64 / 1024.0, tail: None, cpu_wall: 0.0 }
}

fn busy(tasks: u64, workers: usize) -> Child {
    let program = env::current_exe().expect("this program has a file");
    Command::new(program)
        .args([word::ALONE, "busy", &tasks.to_string(), &workers.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started")
}
