//! Where handlers in worker processes meet their test, which waits for them instead of sleeping.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
};

use serde::{Deserialize, Serialize};

use crate::{gate::PATIENCE, scratch::Scratch};

/// The test's end.
#[derive(Debug)]
pub struct Meeting {
    scratch: Scratch,
    guests: Mutex<Receiver<Guest>>,
}

/// What a handler needs to come: it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invitation(String);

/// A handler that has come and waits to be let go.
#[derive(Debug)]
pub struct Guest {
    stream: UnixStream,
    /// Its process.
    pub pid: u32,
    /// What it has said.
    pub text: String,
}

impl Meeting {
    /// A meeting to which nobody has come.
    ///
    /// # Panics
    ///
    /// When there can be no socket in the directory for temporary files.
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let listener = UnixListener::bind(address(&scratch)).expect("a socket can be bound");
        let (sender, guests) = channel();
        thread::spawn(move || {
            let streams = listener.incoming().map_while(Result::ok);
            // Who dies while it comes has not come.
            let mut guests = streams.filter_map(Guest::welcome);
            while guests.next().is_some_and(|guest| sender.send(guest).is_ok()) {}
        });
        Self { scratch, guests: Mutex::new(guests) }
    }

    /// What handlers need to come.
    pub fn invitation(&self) -> Invitation {
        Invitation(address(&self.scratch).to_string_lossy().into_owned())
    }

    /// Waits for the next handler to come, for as long as it takes: where a test waits for its turn first,
    /// and a watchdog watches what it waits for.
    ///
    /// # Panics
    ///
    /// When nobody can come any more.
    pub fn next_however_late(&self) -> Guest {
        let guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.recv().expect("the meeting goes on")
    }

    /// Waits for the next handler to come.
    ///
    /// # Panics
    ///
    /// When nobody comes.
    pub fn next(&self) -> Guest {
        let guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.recv_timeout(PATIENCE).expect("nobody comes to the meeting")
    }
}

impl Default for Meeting {
    fn default() -> Self {
        Self::new()
    }
}

fn address(scratch: &Scratch) -> PathBuf {
    scratch.path().join("meeting")
}

impl Guest {
    fn welcome(stream: UnixStream) -> Option<Self> {
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).ok()?;
        let (pid, text) = line.trim_end().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, text: text.to_string(), stream })
    }

    /// Lets the handler go on.
    pub fn let_go(mut self) {
        // It may have been killed.
        let _ = self.stream.write_all(b".");
    }
}

impl Invitation {
    /// An invitation to the meeting at this address.
    pub fn to(address: impl Into<String>) -> Self {
        Self(address.into())
    }

    /// Where the meeting is, for the arguments of a program.
    pub fn address(&self) -> &str {
        &self.0
    }

    /// Comes to the meeting, says `text` and waits until the test lets it go.
    ///
    /// # Panics
    ///
    /// When there is no such meeting, or it is over.
    pub fn meet(&self, text: &str) {
        self.come(text).read_exact(&mut [0]).expect("the test lets it go");
    }

    /// Comes to the meeting, says `text` and leaves.
    ///
    /// # Panics
    ///
    /// When there is no such meeting.
    pub fn leave(&self, text: &str) {
        self.come(text);
    }

    fn come(&self, text: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.0).expect("the meeting goes on");
        stream
            .write_all(format!("{} {text}\n", process::id()).as_bytes())
            .expect("somebody listens");
        stream
    }
}
