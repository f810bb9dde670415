//! The peers: scripts that `python3` runs.

use std::process::{Command, Stdio};

use crate::harness::rounds::Sample;

/// A `python3` that is there.
pub(crate) struct Python;

/// Where the scripts are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/processes/python");

impl Python {
    pub(crate) fn find() -> Option<Python> {
        let mut python = Command::new("python3");
        python.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        python.status().is_ok_and(|status| status.success()).then_some(Python)
    }

    /// Runs a script to its end; returns what it printed.
    pub(crate) fn run(&self, script: &str, arguments: &[&dyn ToString]) -> String {
        let mut python = Command::new("python3");
        // Without leaving compiled files among the sources.
        python.arg("-B").arg(format!("{SCRIPTS}/{script}"));
        python.args(arguments.iter().map(|argument| argument.to_string()));
        let output = python.stderr(Stdio::inherit()).output().expect("python3 was there before");
        assert!(output.status.success(), "{script} failed: {}", output.status);
        String::from_utf8(output.stdout).expect("the scripts print numbers")
    }

    /// Runs a script that times itself and prints `SECONDS CPU_SECONDS ANSWER`; the sample is in ns
    /// a unit.
    pub(crate) fn time(
        &self,
        script: &str,
        arguments: &[&dyn ToString],
        units: u64,
        expected: u64,
    ) -> Sample {
        let output = self.run(script, arguments);
        let numbers: Vec<f64> =
            output.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        let [wall, cpu, answer] = numbers[..] else { panic!("{script} printed {output:?}") };
        assert_eq!(answer, expected as f64, "{script} gave a wrong answer");
        Sample { value: wall * 1e9 / units as f64, tail: None, cpu_wall: cpu / wall }
    }
}
