//! How values become bytes: the one place that knows bincode.

use std::fmt;

use bincode::{
    BorrowDecode as _,
    config::{Configuration, Limit},
    de::{Decoder, DecoderImpl, read::Reader, read::SliceReader},
    enc::write::Writer,
    error::{DecodeError, EncodeError},
    serde::BorrowCompat,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, SeqAccess, Visitor},
};

/// No value that is read takes more bytes than this.
pub(crate) const MOST_BYTES: usize = 256 << 20;

/// How many bytes bincode counts for one that it reads: a number of 128 bits that takes one byte.
const COUNTED: usize = size_of::<u128>();

/// What bincode may count while it reads the longest value.
const MOST_COUNTED: usize = MOST_BYTES.saturating_mul(COUNTED);

type Config =
    Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<MOST_COUNTED>>;

const CONFIG: Config = bincode::config::standard().with_limit::<MOST_COUNTED>();

/// Appends `value` to `bytes`, which keep what was there also when this fails.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let start = bytes.len();
    let written = bincode::serde::encode_into_writer(value, Appended(bytes), CONFIG);
    if written.is_err() {
        bytes.truncate(start);
    }
    written.map(|_| ()).map_err(|error| CodecError(format!("cannot be written as bytes: {error}")))
}

/// Where values are written: behind what is there.
struct Appended<'b>(&'b mut Vec<u8>);

impl Writer for Appended<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// `value` as bytes.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes)?;
    Ok(bytes)
}

/// Reads a value from all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let wrong =
        |why: String| CodecError(format!("cannot be read from {} bytes: {why}", bytes.len()));
    if bytes.len() > MOST_BYTES {
        return Err(wrong(format!("at most {MOST_BYTES} are allowed")));
    }
    let mut decoder = DecoderImpl::new(SliceReader::new(bytes), CONFIG, ());
    let value = decode_some(&mut decoder, bytes.len()).map_err(|error| wrong(error.to_string()))?;
    let over = (1..=bytes.len()).take_while(|&n| decoder.reader().peek_read(n).is_some()).count();
    match over {
        0 => Ok(value),
        over => Err(wrong(format!("{over} bytes are left over"))),
    }
}

/// Reads a value from `length` bytes.
fn decode_some<T: DeserializeOwned>(
    decoder: &mut DecoderImpl<SliceReader<'_>, Config, ()>,
    length: usize,
) -> Result<T, DecodeError> {
    // bincode allocates a text before it looks whether its bytes are there, if they are within the
    // limit. So the limit is what `length` bytes can really come to.
    decoder.claim_bytes_read(MOST_COUNTED.saturating_sub(length.saturating_mul(COUNTED)))?;
    BorrowCompat::borrow_decode(decoder).map(|BorrowCompat(value)| value)
}

/// Why a value could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodecError(String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

/// Bytes that travel as they are: serde writes a `Vec<u8>` number by number.
///
/// ```
/// use prunner::{Bytes, Labeled};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Labeled, Serialize, Deserialize)]
/// enum Step {
///     Unpack(Bytes),
/// }
///
/// assert_eq!(Step::Unpack(Bytes(vec![0x1f, 0x8b])).label(), "Unpack");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ToVec;
        impl<'de> Visitor<'de> for ToVec {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Bytes(bytes))
            }
        }
        // Not `deserialize_byte_buf`: what is borrowed is there before anything is allocated for it.
        deserializer.deserialize_bytes(ToVec)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Priority,
        broker::{
            Batch, Commit, DeadLetter, Encoded, LabelCount, Lease, Tasks, Timing, Token, Write,
        },
    };

    fn batch() -> Batch {
        let mut tasks = Tasks::one(b"a");
        tasks.push(b"bc");
        Batch { attempt: 2, suspect: true, crashes: 1, interruptions: 3, tasks, ..Batch::default() }
    }

    #[rustfmt::skip]
    const BATCH: &[u8] = &[
        1, 2, 1, 1, 3, // priority, attempt, suspect, crashes, interruptions
        2, 11, 1, 0, 0, 0, b'a', 2, 0, 0, 0, b'b', b'c', // tasks, bytes, each with its length
    ];

    fn commit() -> Commit {
        let value = Some(Encoded { type_name: "u64".into(), bytes: Bytes(vec![9]) });
        let times = Timing { tasks: 3, nanos: 70_000, samples: vec![(5, 6)] };
        Commit {
            token: Token(300),
            successor: Some(Lease { token: Token(7), batch: batch() }),
            posts: vec![batch(), Batch { priority: Priority::Low, ..Batch::default() }],
            writes: vec![
                Write { key: "k".into(), version: 3, value },
                Write { key: "gone".into(), version: 0, value: None },
            ],
            posted: 251,
            labels: vec![LabelCount { label: "l".into(), finished: 2, dead: 1, times }],
            dead: vec![DeadLetter { task: Bytes(vec![8]), ..DeadLetter::default() }],
        }
    }

    fn commit_bytes() -> Vec<u8> {
        [
            &[251, 44, 1, 1, 7], // token; kept, under which token
            BATCH,
            &[2], // posts
            BATCH,
            &[2, 0, 0, 0, 0, 0, 0],
            &[2, 1, b'k', 3, 1, 3, b'u', b'6', b'4', 1, 9], // writes
            &[4, b'g', b'o', b'n', b'e', 0, 0],
            &[251, 251, 0],                                      // posted
            &[1, 1, b'l', 2, 1, 3, 252, 112, 17, 1, 0, 1, 5, 6], // labels
            &[1, 1, 8, 0, 0],                                    // dead
        ]
        .concat()
    }

    /// What is in a journal or on its way must be read by later versions: these bytes stay.
    #[test]
    fn what_a_broker_takes_has_these_bytes() {
        assert_eq!(to_bytes(&batch()).as_deref(), Ok(BATCH));
        assert_eq!(decode(BATCH), Ok(batch()));

        let token = u128::from_le_bytes(*b"random, 16 bytes");
        let lease = Lease { token: Token(token), batch: batch() };
        let bytes = [&[254], &b"random, 16 bytes"[..], BATCH].concat();
        assert_eq!(to_bytes(&lease), Ok(bytes.clone()));
        assert_eq!(decode(&bytes), Ok(lease));

        assert_eq!(to_bytes(&commit()), Ok(commit_bytes()));
        assert_eq!(decode(&commit_bytes()), Ok(commit()));
        assert_eq!(to_bytes(&Commit::new(Token(5))), Ok(vec![5, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn every_cut_of_a_commit_is_an_error() {
        let bytes = commit_bytes();
        for length in 0..bytes.len() {
            assert!(decode::<Commit>(&bytes[..length]).is_err(), "{length} bytes");
        }
        let over = [&bytes[..], &[0]].concat();
        let error = decode::<Commit>(&over).unwrap_err().to_string();
        assert!(error.ends_with("1 bytes are left over"), "{error}");
    }

    /// No length that is claimed is believed, and no byte that is changed is a panic.
    #[test]
    fn hostile_bytes_are_an_error_or_another_commit() {
        let good = commit_bytes();
        for at in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = good.clone();
                bytes[at] = byte;
                if let Ok(commit) = decode::<Commit>(&bytes) {
                    commit.posts.iter().for_each(|batch| _ = batch.tasks.check());
                }
            }
            let huge = [&good[..at], &[253], &[255; 8], &good[at..]].concat();
            assert_ne!(decode(&huge), Ok(commit()));
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Texts(String, Vec<String>, Option<Bytes>);

    /// All that is claimed is within [`MOST_BYTES`], so that it is the bytes that are missing.
    #[test]
    fn what_is_claimed_and_not_there_is_refused_before_it_is_allocated() {
        let claim = [&[252][..], &(MOST_BYTES as u32 - 100).to_le_bytes()].concat();
        let error = |bytes: &[u8]| decode::<Texts>(bytes).expect_err("too short").to_string();
        assert!(error(&claim).ends_with("LimitExceeded"), "{}", error(&claim));
        let list = [&[0], &claim[..], &claim[..]].concat();
        assert!(error(&list).ends_with("LimitExceeded"), "{}", error(&list));
        let bytes = [&[0, 0, 1], &claim[..], b"some"].concat();
        assert!(error(&bytes).ends_with("LimitExceeded"), "{}", error(&bytes));
        let fits = Texts("a".repeat(70_000), vec!["b".into(); 3], Some(Bytes(vec![0; 70_000])));
        assert_eq!(decode(&to_bytes(&fits).expect("it can be written")), Ok(fits));
    }

    #[test]
    fn more_than_the_most_is_refused_although_it_could_be_read() {
        let head = [&[253][..], &(MOST_BYTES as u64 - 8).to_le_bytes()].concat();
        let mut bytes = vec![0; MOST_BYTES + 1];
        bytes[..9].copy_from_slice(&head);
        let error = decode::<Bytes>(&bytes).err().map(|error| error.to_string());
        let text = format!("at most {MOST_BYTES} are allowed");
        assert!(error.as_ref().is_some_and(|error| error.ends_with(&text)), "{error:?}");
    }

    /// Small numbers of a large type are what a limit on counted bytes meets first.
    #[test]
    fn whatever_was_written_can_be_read() {
        let tokens: Vec<Token> = (0..100_000).map(|number| Token(number % 200)).collect();
        assert_eq!(decode(&to_bytes(&tokens).expect("it can be written")), Ok(tokens));
        let numbers = vec![(Some(0_i128), 'a', [0_u64; 4], f64::MAX, false); 1000];
        assert_eq!(decode(&to_bytes(&numbers).expect("it can be written")), Ok(numbers));
    }

    #[test]
    fn what_cannot_be_written_leaves_the_bytes_before_it() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("never"))
            }
        }
        let mut bytes = b"before".to_vec();
        assert!(encode(&("some", Refuses), &mut bytes).is_err());
        assert_eq!(bytes, b"before");
    }
}
