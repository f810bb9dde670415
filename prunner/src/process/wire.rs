//! What a worker process and its parent say to each other.
//!
//! A frame is its length, little-endian in four bytes, and a value in the wire format of
//! [`codec`]. `docs/wire-format.md` has the bytes.

use std::{
    fmt,
    io::{self, Read},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    broker::{Batch, Commit, Conflict, Lease, Lock, Read as Reading, Release, Token, Write},
    codec::{self, Bytes, CodecError},
    settings::{MOST_PAYLOAD, Terms},
};

/// The version of everything in this file.
pub(crate) const PROTOCOL: u32 = 1;

/// No frame is longer.
pub(crate) const MOST_FRAME: usize = codec::MOST_BYTES;

// What may be set can travel.
const _: () = assert!((MOST_PAYLOAD as usize) < MOST_FRAME);

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
    pub(crate) terms: Terms,
}

/// From a worker process to its parent. A seat is one of its threads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToParent {
    /// It has understood its [`Hello`] and is ready.
    Ready,
    /// It cannot work, and neither can any other; the text says why.
    Refused(String),
    /// Posts that belong to the next commit of this seat: a commit may be larger than a frame.
    Posts { seat: u16, batches: Vec<Batch> },
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
    /// About to read, then to run a task that may have killed a worker: what to call it if it does so
    /// again. A worker that dies before the first of these has not died of the task.
    Suspect { token: Token, label: String, data: Option<String> },
    /// The dict cannot be made whole.
    Broken(String),
    /// In place of [`Ready`](ToParent::Ready): it has not got what it needs, such as a thread; the text says
    /// what. Other workers may have.
    Unable(String),
    /// Its process is about to end, because of what the lease that this seat runs has done, or of
    /// something that no lease is to blame for; the text says why.
    Dying { seat: Option<u16>, why: String },
    /// What it is doing: the answer to [`Dump`](ToWorker::Dump).
    State(String),
    /// Writes that belong to the next commit of this seat: all together may be larger than a frame.
    Writes { seat: u16, writes: Vec<Write> },
}

/// From the parent to a worker process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
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
    /// Say what you are doing: the run seems to be stuck.
    Dump,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        broker::{Encoded, LabelCount, Tasks, Timing},
        queue::Order,
        settings::Limits,
    };

    const PAGE: &str = include_str!("../../../docs/wire-format.md");

    /// The bytes that the page shows under this name.
    fn shown(name: &str) -> Vec<u8> {
        let block = PAGE.split_once(&format!("```hex {name}\n")).expect("a block of this name").1;
        let lines = block.lines().take_while(|line| *line != "```");
        let bytes = lines.flat_map(|line| line.split(';').next().unwrap_or("").split_whitespace());
        bytes.map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
    }

    fn written(frame: &impl Serialize) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_frame(frame, &mut bytes).expect("it can be written");
        bytes
    }

    fn check<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(name: &str, frame: T) {
        let bytes = shown(name);
        assert_eq!(bytes, written(&frame), "{name}");
        assert_eq!(inbox(&bytes).next(), Ok(Some(frame)), "{name}");
    }

    /// One into which these bytes have come at once.
    fn inbox(mut bytes: &[u8]) -> Inbox {
        let mut inbox = Inbox::default();
        while inbox.read_from(&mut bytes).expect("memory does not fail") > 0 {}
        inbox
    }

    fn tasks(all: &[&[u8]]) -> Batch {
        let mut tasks = Tasks::new();
        all.iter().for_each(|task| tasks.push(task));
        Batch { tasks, ..Batch::default() }
    }

    fn greeting() -> Greeting {
        Greeting { magic: MAGIC, protocol: 1, build: "/bin/p (9 bytes ...)".into() }
    }

    #[test]
    fn the_page_shows_greeting_and_hello_as_they_are() {
        check("drain", ToWorker::Drain);
        check("greeting", greeting());
        check("welcome", Welcome::Same);
        check("refused", Welcome::Refused("another one!".into()));
        let memory = Some(1 << 30);
        let hello = Hello {
            runner_type: "program::Crawl".into(),
            runner: Bytes(vec![3]),
            tasks: 1 << 40,
            worker: 1,
            terms: Terms {
                seats: 2,
                all_seats: 4,
                order: Order::Lifo,
                lease: Duration::from_secs(30),
                limits: Limits {
                    memory,
                    cpu: None,
                    task: Some(Duration::from_secs(5)),
                    payload: 64 << 20,
                },
            },
        };
        check("hello", hello);
    }

    #[test]
    fn the_page_shows_a_lease_and_its_commit_as_they_are() {
        let lease = Lease { token: Token(7), batch: tasks(&[b"a", b"bc"]) };
        check("lease", ToWorker::Leased { seat: 0, leases: vec![lease] });
        let bytes = codec::to_bytes(&300_u64).expect("it can be written");
        let value = Some(Encoded { type_name: "u64".into(), bytes: Bytes(bytes) });
        let times = Timing { tasks: 2, nanos: 70_000, samples: vec![(35_000, 2)] };
        let commit = Commit {
            posts: vec![tasks(&[b"d"])],
            writes: vec![Write { key: "sum".into(), version: 2, value }],
            posted: 1,
            labels: vec![LabelCount { label: "step".into(), finished: 2, dead: 0, times }],
            ..Commit::new(Token(7))
        };
        check("commit", ToParent::Step { seat: 0, commit: Some(commit), want: vec![Token(8)] });
    }

    #[test]
    fn every_block_of_the_page_is_checked() {
        assert_eq!(PAGE.matches("```hex ").count(), 7);
    }

    #[test]
    fn frames_come_in_whatever_pieces() {
        let ups = [
            ToParent::Ready,
            ToParent::Renew(vec![Token(1), Token(u128::MAX)]),
            ToParent::Broken("a".into()),
        ];
        let bytes: Vec<u8> = ups.iter().flat_map(written).collect();
        for piece in 1..=bytes.len() {
            let (mut inbox, mut come) = (Inbox::default(), Vec::new());
            for mut piece in bytes.chunks(piece) {
                inbox.read_from(&mut piece).expect("memory does not fail");
                while let Some(up) = inbox.next::<ToParent>().expect("these are frames") {
                    come.push(up);
                }
            }
            assert_eq!(come, ups, "in pieces of {piece}");
        }
    }

    /// Frames that are longer than what is read at a time, and many of them.
    #[test]
    fn long_frames_come_whole() {
        let ups: Vec<ToParent> =
            (0..4).map(|n| ToParent::Broken("a".repeat(CHUNK + n * CHUNK / 3))).collect();
        let bytes: Vec<u8> = ups.iter().flat_map(written).collect();
        let (mut from, mut inbox, mut come) = (&bytes[..], Inbox::default(), Vec::new());
        while inbox.read_from(&mut from).expect("memory does not fail") > 0 {
            while let Some(up) = inbox.next::<ToParent>().expect("these are frames") {
                come.push(up);
            }
        }
        assert!(come == ups);
    }

    #[test]
    fn a_frame_that_is_cut_short_never_comes() {
        let bytes = written(&greeting());
        for length in 0..bytes.len() {
            assert_eq!(inbox(&bytes[..length]).next::<Greeting>(), Ok(None), "{length} bytes");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_length() {
        let bytes = (MOST_FRAME as u32 + 1).to_le_bytes();
        assert_eq!(inbox(&bytes).next::<ToParent>(), Err(WireError::Long(MOST_FRAME + 1)));
        let most = inbox(&(MOST_FRAME as u32).to_le_bytes()).next::<ToParent>();
        assert_eq!(most, Ok(None), "as long as a frame may be");
    }

    /// What was written must be readable by the other side, which refuses more.
    #[test]
    fn a_frame_is_written_up_to_its_limit_and_not_beyond() {
        const PIECE: usize = 1 << 20;
        let piece = "a".repeat(PIECE);
        // One byte too many: the number of pieces takes some.
        let pieces = vec![&*piece; MOST_FRAME / PIECE];
        let mut bytes = written(&ToParent::Ready);
        let error = write_frame(&pieces, &mut bytes).expect_err("it is too long");
        assert!(matches!(error, WireError::Long(length) if length > MOST_FRAME), "{error}");
        assert_eq!(bytes, written(&ToParent::Ready), "the frame before it stays");
        write_frame(&&pieces[1..], &mut bytes).expect("it is as long as a frame may be");
    }

    #[test]
    fn what_is_left_over_in_a_frame_is_an_error_and_stays_one() {
        let mut bytes = written(&ToParent::Ready);
        bytes[0] += 1;
        bytes.push(0);
        let mut inbox = inbox(&bytes);
        for _ in 0..2 {
            let error = inbox.next::<ToParent>().expect_err("a byte is left over").to_string();
            assert!(error.ends_with("1 bytes are left over"), "{error}");
        }
        let empty = self::inbox(&[0; 4]).next::<ToParent>().expect_err("no value").to_string();
        assert!(empty.starts_with("a frame cannot be read from 0 bytes"), "{empty}");
    }

    #[test]
    fn what_cannot_be_written_leaves_the_frames_before_it() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("never"))
            }
        }
        let mut bytes = written(&ToParent::Ready);
        assert!(write_frame(&Refuses, &mut bytes).is_err());
        assert_eq!(bytes, written(&ToParent::Ready));
    }
}
