//! Ctrl-C: the first drains all runs that listen, the second ends the process.

use std::{
    process,
    sync::{Arc, Once, OnceLock, Weak},
};

use parking_lot::Mutex;

use crate::{engine::stop::Stop, error::Error};

/// The exit code of a program that Ctrl-C ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// The runs that listen now.
static RUNS: Mutex<Vec<Weak<Stop>>> = Mutex::new(Vec::new());

/// While this lives, Ctrl-C drains the run.
#[derive(Debug)]
pub(crate) struct Listening {
    stop: Weak<Stop>,
}

impl Listening {
    pub(crate) fn start(stop: &Arc<Stop>) -> Result<Self, Error> {
        install()?;
        let stop = Arc::downgrade(stop);
        RUNS.lock().push(Weak::clone(&stop));
        Ok(Self { stop })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        RUNS.lock().retain(|run| !run.ptr_eq(&self.stop));
    }
}

/// Installs the handler once for the process.
fn install() -> Result<(), Error> {
    static INSTALL: Once = Once::new();
    static RESULT: OnceLock<String> = OnceLock::new();
    INSTALL.call_once(|| {
        if let Err(error) = ctrlc::set_handler(on_ctrlc) {
            let _ = RESULT.set(format!(
                "cannot listen for Ctrl-C: {error}; install no other handler, or leave out ctrlc(true)"
            ));
        }
    });
    match RESULT.get() {
        None => Ok(()),
        Some(error) => Err(Error::config(error)),
    }
}

/// Runs on a thread of its own, not in the signal handler.
fn on_ctrlc() {
    let runs: Vec<Arc<Stop>> = RUNS.lock().iter().filter_map(Weak::upgrade).collect();
    // A run that was interrupted before and still goes on has had its chance.
    if runs.is_empty() || runs.iter().any(|run| run.is_interrupted()) {
        crate::process::group::kill_all();
        process::exit(INTERRUPTED);
    }
    log::warn!("interrupted: running tasks finish, nothing new starts; once more ends at once");
    runs.iter().for_each(|run| run.interrupt());
}
