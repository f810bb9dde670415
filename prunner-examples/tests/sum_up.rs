//! The running example of the original, in its three forms.

mod program;

use std::process::{Command, Stdio};

use program::{run, run_alone};

prunner_tests::watched!();

const PROGRAMS: [&str; 3] = [
    env!("CARGO_BIN_EXE_sum_up"),
    env!("CARGO_BIN_EXE_sum_up_trait"),
    env!("CARGO_BIN_EXE_sum_up_methods"),
];

#[test]
fn the_sum_is_right_with_any_number_of_workers() {
    for program in PROGRAMS {
        for workers in ["1", "2", "10", "64"] {
            let finished = run(program, ["-n", workers]);
            assert_eq!(finished.code, Some(0), "{program} -n {workers}: {finished:?}");
            assert_eq!(finished.stdout.lines().last(), Some("4002000"), "{program} -n {workers}");
            assert_eq!(finished.stderr, "", "{program} -n {workers}");
        }
        assert_eq!(run(program, [""; 0]).stdout, "4002000\n", "{program}");
    }
}

#[test]
fn the_sum_is_right_on_worker_processes() {
    for program in PROGRAMS {
        for flags in ["-n 1", "-n 2", "-n 10", "-n 2 --threads 3", "-n 3 --prefix-output"] {
            let flags = ["--processes"].into_iter().chain(flags.split(' '));
            let finished = run_alone(program, flags.clone());
            let all: Vec<&str> = flags.collect();
            assert_eq!(finished.code, Some(0), "{program} {all:?}: {finished:?}");
            assert_eq!(finished.stdout.lines().last(), Some("4002000"), "{program} {all:?}");
            assert_eq!(finished.stderr, "", "{program} {all:?}");
        }
    }
}

#[test]
fn the_sum_is_right_for_any_number_of_numbers() {
    for program in PROGRAMS {
        for (numbers, sum) in [("0", "0\n"), ("1", "2\n"), ("2", "6\n"), ("30000", "900030000\n")] {
            let finished = run(program, ["--numbers", numbers, "-n", "3"]);
            assert_eq!(finished.code, Some(0), "{program} --numbers {numbers}: {finished:?}");
            assert_eq!(finished.stdout, sum, "{program} --numbers {numbers}");
        }
    }
}

#[test]
fn no_workers_at_all_is_an_error_that_says_so() {
    for program in PROGRAMS {
        let finished = run(program, ["-n", "0"]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert_eq!(finished.stdout, "");
        assert!(finished.stderr.starts_with("error: "), "{finished:?}");
        assert!(finished.stderr.contains("at least 1 worker, not 0"), "{finished:?}");
    }
}

#[test]
fn verbose_tells_what_was_done_but_not_on_stdout() {
    for program in PROGRAMS {
        let finished = run(program, ["--numbers", "100", "-v"]);
        assert_eq!(finished.stdout, "10100\n");
        // init, 100 times add_one and double, 200 times sum_up.
        assert!(finished.stderr.contains("posted 401 = finished 401 + dead 0"), "{finished:?}");
        let more = run(program, ["--numbers", "100", "-vv"]);
        assert!(more.stderr.contains("DEBUG"), "{more:?}");
    }
}

#[test]
fn help_tells_the_flags_and_mistakes_in_them_are_told() {
    for program in PROGRAMS {
        let finished = run(program, ["--help"]);
        assert_eq!((finished.code, &*finished.stderr), (Some(0), ""));
        for flag in ["--numbers <N>", "-n, --workers <N>", "-v, --verbose"] {
            assert!(finished.stdout.contains(flag), "{finished:?}");
        }
        for (args, wrong) in [(["-n", "many"], "'many'"), (["--numbers", "-1"], "'-1'")] {
            let finished = run(program, args);
            assert_eq!(finished.code, Some(2), "{finished:?}");
            assert!(finished.stderr.contains(wrong), "{finished:?}");
        }
    }
}

#[test]
fn nobody_has_to_read_the_sum() {
    for program in PROGRAMS {
        let mut command = Command::new(program);
        command.env_remove("RUST_LOG").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the program ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{program}");
    }
}
