//! Standard output, of which the reader may go away at any time (`| head`).

use std::io::{self, BufWriter, ErrorKind, Write};

/// Prints what `write` writes, buffered.
///
/// A reader that has gone away has seen enough: that is not an error.
///
/// # Errors
///
/// Any other error of standard output, such as a full disk.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
