//! One way to start the program, and what its end must look like.

use std::{path::PathBuf, process::Command};

use prunner_tests::{
    family::lead_a_session,
    process::{Ended, Process},
    random::Random,
};

/// One way to start the program.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) program: &'static str,
    pub(crate) workers: u64,
    pub(crate) threads: u64,
    pub(crate) size: u64,
    pub(crate) seed: u64,
    /// In milliseconds.
    pub(crate) lease: u64,
    /// Whether the output of workers comes by way of the parent.
    pub(crate) prefix: bool,
    pub(crate) oldest_first: bool,
    pub(crate) fault: Option<(&'static str, PathBuf)>,
    /// How long a few of its tasks take, in milliseconds.
    pub(crate) long: u64,
    /// Where handlers note what they do.
    pub(crate) log: Option<PathBuf>,
}

impl Scene {
    pub(crate) fn random(random: &mut Random) -> Self {
        let program = ["merges", "lock", "tree", "mix"][random.below(4) as usize];
        Self {
            program,
            workers: 1 + random.below(4),
            threads: if random.one_in(3) { 2 } else { 1 },
            size: 1000 + random.below(3000),
            seed: random.below(1 << 40),
            lease: 10_000,
            prefix: random.one_in(4),
            oldest_first: random.one_in(2),
            fault: None,
            long: 0,
            log: None,
        }
    }

    pub(crate) fn start(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crash_target"));
        command.args(["--program", self.program]);
        let numbers = [
            ("--workers", self.workers),
            ("--threads", self.threads),
            ("--size", self.size),
            ("--seed", self.seed),
            ("--lease", self.lease),
            ("--long", self.long),
        ];
        for (flag, number) in numbers {
            command.args([flag, &number.to_string()]);
        }
        command.args(["--prefix", &self.prefix.to_string()]);
        command.args(["--oldest-first", &self.oldest_first.to_string()]);
        if let Some((fault, scratch)) = &self.fault {
            command.args(["--fault", fault]).arg("--scratch").arg(scratch);
        }
        if let Some(log) = &self.log {
            command.arg("--log").arg(log);
        }
        Process::start(lead_a_session(&mut command))
    }

    /// What is wrong with how a run has ended whose workers were killed, if anything.
    pub(crate) fn check(&self, ended: &Ended) -> Result<(), String> {
        // Tasks have died as they must: that is an error.
        let code = if self.program == "mix" { 1 } else { 0 };
        let count = |text| ended.output.lines().filter(|line| *line == text).count();
        let (exact, ends) = (count("verdict: exact"), count("end"));
        match ended.status.code() == Some(code) && exact == 1 && ends == 1 {
            true => Ok(()),
            false => Err(format!("{self:?}: {}\n{}{}", ended.status, ended.output, ended.errors)),
        }
    }
}
