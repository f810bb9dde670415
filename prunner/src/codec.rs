//! How values become bytes: the one place that knows bincode.

use std::fmt;

use bincode::config::{Configuration, Limit};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, SeqAccess, Visitor},
};

/// No value that is read takes more bytes than this. A length that claims more is an error before
/// anything is allocated for it.
pub(crate) const MOST_BYTES: usize = 256 << 20;

type Config = Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    Limit<MOST_BYTES>,
>;

const CONFIG: Config = bincode::config::standard().with_limit::<MOST_BYTES>();

/// Appends `value` to `bytes`, which keep what was there also when this fails.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let start = bytes.len();
    let written = bincode::serde::encode_into_std_write(value, bytes, CONFIG);
    if written.is_err() {
        bytes.truncate(start);
    }
    written.map(|_| ()).map_err(|error| CodecError(format!("cannot be written as bytes: {error}")))
}

/// `value` as bytes.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes)?;
    Ok(bytes)
}

/// Reads a value from all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let wrong = |why: String| CodecError(format!("cannot be read from {} bytes: {why}", bytes.len()));
    if bytes.len() > MOST_BYTES {
        return Err(wrong(format!("at most {MOST_BYTES} are allowed")));
    }
    let (value, read) = bincode::serde::decode_from_slice(bytes, CONFIG)
        .map_err(|error| wrong(error.to_string()))?;
    match bytes.len() - read {
        0 => Ok(value),
        over => Err(wrong(format!("{over} bytes are left over"))),
    }
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
        deserializer.deserialize_byte_buf(ToVec)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}
