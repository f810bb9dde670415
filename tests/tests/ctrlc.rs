//! Ctrl-C: the first drains the run, the second ends the process, and no answer is ever wrong.

use std::{
    os::unix::process::ExitStatusExt,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use prunner_tests::{
    process::{Ended, Process},
    random::Random,
    scale::times,
};

prunner_tests::watched!();

/// What the engine says when it has noticed Ctrl-C.
const NOTICED: &str = "WARN: interrupted";

fn start(scene: &str) -> Process {
    Process::start(Command::new(env!("CARGO_BIN_EXE_interruptible")).arg(scene))
}

#[track_caller]
fn assert_exit_130(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
}

/// The number before `word` in the program's last line.
fn number_before(word: &str, ended: &Ended) -> u64 {
    let words: Vec<&str> = ended.output.split_whitespace().collect();
    let place = words.iter().rposition(|it| *it == word).expect("the word is there");
    words[place - 1].parse().expect("a number")
}

/// The handler that runs finishes, and nothing new starts: not what was queued, not its follow-ups.
#[test]
fn the_first_drains_the_run() {
    let mut process = start("drain");
    process.wait_for_line("holding");
    process.interrupt();
    let ended = process.end();
    assert_exit_130(&ended);
    let lines: Vec<&str> = ended.output.lines().collect();
    assert_eq!((lines[0], &lines[2..4]), ("holding", &["held", "end: 1000"][..]), "{ended:?}");
    assert!(lines[1].starts_with(NOTICED), "{ended:?}");
    // The next tick and what the handler has posted.
    assert!(lines[4].starts_with("error: interrupted: 4 of "), "{ended:?}");
    assert!(lines[4].ends_with(" tasks were left"), "{ended:?}");
}

#[test]
fn a_begin_that_is_interrupted_comes_to_its_end() {
    let mut process = start("drain in begin");
    process.wait_for_line("holding");
    process.interrupt();
    let ended = process.end();
    assert_exit_130(&ended);
    assert!(ended.output.contains("\nheld\nend: 1000\n"), "{ended:?}");
    assert!(!ended.output.contains("something new"), "{ended:?}");
    assert!(ended.output.contains("error: interrupted: 4 of "), "{ended:?}");
}

#[test]
fn the_second_ends_the_process_at_once() {
    for scene in ["stubborn begin", "stubborn handler", "stubborn end"] {
        let mut process = start(scene);
        process.wait_for_line("holding");
        process.interrupt();
        process.wait_for_line(NOTICED);
        process.interrupt();
        assert_exit_130(&process.end());
    }
}

#[test]
fn each_run_of_a_program_can_be_interrupted() {
    let mut process = start("again");
    for _ in 0..3 {
        process.wait_for_line("ticking");
        process.interrupt();
    }
    let ended = process.end();
    assert_exit_130(&ended);
    assert_eq!(number_before("of", &ended), 1, "{ended:?}");
}

#[test]
fn it_drains_a_run_inside_a_run_too() {
    let mut process = start("nested");
    process.wait_for_line("ticking");
    process.interrupt();
    let ended = process.end();
    assert_exit_130(&ended);
    assert_eq!(ended.output.matches("ticking").count(), 1, "{ended:?}");
    assert!(ended.output.contains("\nerror: interrupted: 1 of 2 tasks were left"), "{ended:?}");
}

#[test]
fn after_the_run_it_ends_the_process() {
    let mut process = start("afterwards");
    process.wait_for_line("holding");
    process.interrupt();
    assert_exit_130(&process.end());
}

#[test]
fn without_being_asked_for_it_kills_as_usual() {
    let mut process = start("uninvited");
    process.wait_for_line("holding");
    process.interrupt();
    let ended = process.end();
    assert_eq!(ended.status.signal(), Some(libc::SIGINT), "{ended:?}");
}

const WHOLE_SUM: &str = "end: 4002000";

/// How long the program takes from its first line on when nobody disturbs it.
fn undisturbed() -> Duration {
    let mut process = start("sum up");
    process.wait_for_line("begin");
    let start = Instant::now();
    let ended = process.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.output.contains(WHOLE_SUM), "{ended:?}");
    start.elapsed()
}

/// Whatever the phase: either the whole answer and exit code 0, or exit code 130.
#[test]
fn no_moment_leads_to_a_wrong_answer() {
    let (whole, mut random) = (undisturbed(), Random::new(7));
    let mut drained = 0;
    let signals = times("PRUNNER_SIGINTS", 50);
    for _ in 0..signals {
        let mut process = start("sum up");
        process.wait_for_line("begin");
        thread::sleep(whole.mul_f64(random.below(1200) as f64 / 1000.0));
        process.interrupt();
        let ended = process.end();
        let is_whole = ended.output.contains(WHOLE_SUM);
        match ended.status.code() {
            Some(0) => assert!(is_whole && ended.output.contains("well: posted 8000"), "{ended:?}"),
            Some(130) if ended.output.contains("error: ") => {
                assert_eq!(number_before("of", &ended) == 0, is_whole, "{ended:?}");
                assert!(ended.output.contains("\nend: "), "{ended:?}");
                drained += 1;
            }
            Some(130) => {}
            _ => panic!("{ended:?}"),
        }
    }
    assert!(drained > signals / 10, "only {drained} of {signals} came while the run went on");
}
