//! Which build of the program a process runs.

use std::{env, fmt, fs, io, path::PathBuf, time::UNIX_EPOCH};

/// The executable of a process, identified by what a new build changes: its size and the time at which it was
/// written. Reading all of it would take longer than starting the workers.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    path: PathBuf,
    size: u64,
    /// Nanoseconds after 1970.
    written: u128,
}

/// The executable of the calling process, also when another file has taken its place meanwhile.
const SELF: &str = "/proc/self/exe";

impl Build {
    /// That of this process.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let exe = executable()?;
        let metadata = fs::metadata(&exe)?;
        let written = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let path = env::current_exe().unwrap_or(exe);
        Ok(Self { path, size: metadata.len(), written: written.as_nanos() })
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, size, written } = self;
        write!(f, "{} ({size} bytes, written at {written} ns)", path.display())
    }
}

/// What to start so that it is this very program.
pub(crate) fn executable() -> io::Result<PathBuf> {
    match fs::exists(SELF) {
        Ok(true) => Ok(PathBuf::from(SELF)),
        _ => env::current_exe(),
    }
}
