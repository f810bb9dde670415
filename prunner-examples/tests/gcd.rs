//! The greatest common divisors of the Python texts.

mod program;

use program::{run, run_alone};

prunner_tests::watched!();

const GCD: &str = env!("CARGO_BIN_EXE_gcd");

const DIVISORS: &str = "\
gcd(1963309, 2265973) = 1
gcd(2030677, 3814172) = 1
gcd(1551645, 2229620) = 5
gcd(2039045, 2020802) = 1
";

#[test]
fn results_are_in_the_order_of_the_pairs() {
    for workers in ["1", "2", "3", "4", "10"] {
        let finished = run(GCD, ["-n", workers]);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(finished.stdout, DIVISORS);
        assert_eq!(finished.stderr, "");
    }
}

#[test]
fn results_are_the_same_on_worker_processes() {
    for workers in ["1", "2", "10"] {
        let finished = run_alone(GCD, ["--processes", "-n", workers]);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!((&*finished.stdout, &*finished.stderr), (DIVISORS, ""));
    }
}

#[test]
fn verbose_tells_the_times() {
    let finished = run(GCD, ["-v"]);
    assert_eq!(finished.stdout, DIVISORS);
    assert!(finished.stderr.contains("gcd(1551645, 2229620) took "), "{finished:?}");
}
