//! Load: processes that compute for nothing beside a test.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use crate::{family::lead_a_session, scale::times};

/// Loops that use all the time they can get while this lives.
#[derive(Debug)]
pub struct Busy(Vec<Child>);

impl Busy {
    /// As many as `PRUNNER_BUSY` says, none unless it is set.
    ///
    /// # Panics
    ///
    /// When there is no shell.
    pub fn as_wished() -> Self {
        Self((0..times("PRUNNER_BUSY", 0)).map(|_| spin()).collect())
    }
}

/// Each leads a session: systems that share the CPU among sessions would else hold all of them for one.
fn spin() -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
    // SAFETY: prctl(2) may be called between fork and exec.
    let shell = unsafe { lead_a_session(&mut shell).pre_exec(die_with_the_test) };
    shell.spawn().expect("there is a shell")
}

fn die_with_the_test() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: this prctl takes a signal's number and affects this process only.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
    Ok(())
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Nothing else ends it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
