//! What a worker process and its parent say to each other.
//!
//! A frame is its length, little-endian in four bytes, and a value in the wire format of
//! [`codec`]. `docs/wire-format.md` has the bytes.

use std::{
    fmt,
    io::{self, Read},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    broker::{Blob, Commit, Conflict, Lease, Lock, Read as Reading, Release, Token},
    codec::{self, Bytes, CodecError},
    engine::queue::Order,
};

/// The version of everything in this file.
pub(crate) const PROTOCOL: u32 = 1;

/// No frame is longer.
pub(crate) const MOST_FRAME: usize = codec::MOST_BYTES;

/// How much is read at a time, and how far a buffer grows ahead of the bytes that really come.
const CHUNK: usize = 128 << 10;

/// The parent's first frame. Its form never changes, so that any two versions understand each other
/// far enough to part in peace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) magic: [u8; 8],
    pub(crate) protocol: u32,
    /// Which build of which program this is: see [`Build`](super::build::Build).
    pub(crate) build: String,
}

/// What every conversation begins with.
pub(crate) const MAGIC: [u8; 8] = *b"prunner\0";

/// The worker's answer to the greeting. Its form never changes either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Welcome {
    Same,
    /// The two cannot work together; the text says why.
    Refused(String),
}

/// What a worker has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The type of the program's runner.
    pub(crate) runner_type: String,
    /// The runner itself.
    pub(crate) runner: Bytes,
    /// All functions that can be posted.
    pub(crate) tasks: u64,
    /// The number of this process.
    pub(crate) worker: u32,
    /// How many threads of it run handlers.
    pub(crate) seats: u16,
    /// How many threads of all processes do.
    pub(crate) all_seats: u32,
    pub(crate) order: Order,
    /// How long a lease lasts without being renewed.
    pub(crate) lease: Duration,
    pub(crate) limits: Limits,
}

/// What a worker may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Memory of a worker process, in bytes.
    pub(crate) memory: Option<u64>,
    /// CPU time of a lease.
    pub(crate) cpu: Option<Duration>,
    /// How long one handler may run.
    pub(crate) task: Option<Duration>,
}

/// From a worker process to its parent. A seat is one of its threads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Up {
    /// It has understood its [`Hello`] and is ready.
    Ready,
    /// It cannot work; the text says why.
    Refused(String),
    /// Posts that belong to the next commit of this seat: a commit may be larger than a frame.
    Posts { seat: u16, blobs: Vec<Blob> },
    /// Commits, and asks for a lease for each token.
    Step { seat: u16, commit: Option<Commit>, want: Vec<Token> },
    /// Asks for the dict's lock.
    Lock { seat: u16, token: Token },
    /// Reads an entry of the dict.
    Read { seat: u16, token: Token, key: String, known: u64 },
    /// Still there.
    Renew(Vec<Token>),
    /// Gives back a lease that was not started.
    Release { seat: u16, token: Token, why: Release },
    /// About to run a task that may have killed a worker: what to call it if it does so again.
    Suspect { token: Token, label: String, data: Option<String> },
    /// The dict cannot be made whole.
    Broken(String),
}

/// From the parent to a worker process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Down {
    Leased {
        seat: u16,
        leases: Vec<Lease>,
    },
    Committed {
        seat: u16,
        token: Token,
    },
    Lost {
        seat: u16,
        token: Token,
    },
    Conflict {
        seat: u16,
        token: Token,
        conflict: Conflict,
    },
    Lock {
        seat: u16,
        lock: Lock,
    },
    Read {
        seat: u16,
        read: Reading,
    },
    /// These leases are no longer yours.
    Gone(Vec<Token>),
    /// Others wait for tasks, or for the lock.
    Wanted {
        tasks: bool,
        lock: bool,
    },
    /// Running handlers finish, nothing new starts.
    Drain,
    /// There is nothing left to do.
    Done,
}

/// Appends a frame to `out`.
pub(crate) fn write_frame(frame: &impl Serialize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let written = codec::encode(frame, out).map_err(WireError::Codec);
    let length = out.len() - start - 4;
    let written =
        written.and(if length > MOST_FRAME { Err(WireError::Long(length)) } else { Ok(()) });
    match written {
        Ok(()) => out[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes()),
        Err(_) => out.truncate(start),
    }
    written
}

/// Bytes that have come and frames that they make.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// What has come is between `start` and `end`. Behind it is room for more, which stays as it is
    /// between two reads: to fill it with zeros each time took longer than everything else here.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// Reads once; returns how many bytes came, 0 at the end of the stream.
    pub(crate) fn read_from(&mut self, from: &mut impl Read) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > CHUNK {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() < self.end + CHUNK {
            self.bytes.resize(self.end + CHUNK, 0);
        }
        let read = from.read(&mut self.bytes[self.end..])?;
        self.end += read;
        Ok(read)
    }

    /// The next frame, if all of it has come.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, WireError> {
        let come = &self.bytes[self.start..self.end];
        let Some((length, rest)) = come.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MOST_FRAME {
            return Err(WireError::Long(length));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = codec::decode(body).map_err(WireError::Codec)?;
        self.start += 4 + length;
        Ok(Some(frame))
    }
}

/// Why bytes are not a frame, or a frame is not bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireError {
    Long(usize),
    Codec(CodecError),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long(length) => write!(f, "a frame of {length} bytes: at most {MOST_FRAME}"),
            Self::Codec(error) => write!(f, "a frame {error}"),
        }
    }
}

impl std::error::Error for WireError {}

impl From<WireError> for io::Error {
    fn from(error: WireError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
