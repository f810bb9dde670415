//! Values of the program as bytes: its `Serialize` and `Deserialize` run contained.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    codec::{self, CodecError},
    failure::Cause,
};

/// The bounds of what may travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload {
    most: u64,
}

impl Payload {
    /// One value may take so many bytes.
    pub(crate) fn new(most: u64) -> Self {
        Self { most }
    }

    pub(crate) fn most(self) -> usize {
        usize::try_from(self.most).unwrap_or(usize::MAX)
    }

    /// Appends `value` to `bytes`, which keep what was there also when this fails.
    ///
    /// # Errors
    ///
    /// When the value cannot be written or panics meanwhile, or takes too many bytes.
    #[inline]
    pub(crate) fn write(
        self,
        value: &(impl Serialize + ?Sized),
        bytes: &mut Vec<u8>,
    ) -> Result<(), Cause> {
        let start = bytes.len();
        let written = catch_unwind(AssertUnwindSafe(|| codec::encode(value, bytes)));
        match written {
            Ok(Ok(())) if bytes.len() - start <= self.most() => Ok(()),
            written => Err(self.refuse(start, bytes, written)),
        }
    }

    /// Why a value could not be written behind `start`.
    #[cold]
    #[inline(never)]
    fn refuse(
        self,
        start: usize,
        bytes: &mut Vec<u8>,
        written: thread::Result<Result<(), CodecError>>,
    ) -> Cause {
        let length = bytes.len() - start;
        bytes.truncate(start);
        match written {
            Err(payload) => Cause::panic(payload),
            Ok(Err(error)) => Cause::text(error),
            Ok(Ok(())) => Cause::text(format!(
                "takes {length} bytes, and at most {} may travel: post a name or a path instead of the \
                 data, or raise Runner::max_payload",
                self.most
            )),
        }
    }

    /// Reads a value from all of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are no such value, or reading them panics.
    #[inline]
    pub(crate) fn read<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T, Cause> {
        let read = catch_unwind(AssertUnwindSafe(|| codec::decode(bytes)));
        match read {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Cause::text(error)),
            Err(payload) => Err(Cause::panic(payload)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::*;

    struct Odd(u64);

    impl Serialize for Odd {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let pair = (self.0, self.0);
            assert!(self.0 != 13, "no 13");
            pair.serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for Odd {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let (one, _) = <(u64, u64)>::deserialize(deserializer)?;
            assert!(one != 14, "no 14");
            Ok(Self(one))
        }
    }

    #[test]
    fn a_value_that_panics_or_is_too_long_leaves_the_bytes_as_they_were() {
        let payload = Payload::new(4);
        let mut bytes = vec![7];
        payload.write(&Odd(1), &mut bytes).unwrap();
        payload.write(&Odd(14), &mut bytes).unwrap();
        assert_eq!(bytes, [7, 1, 1, 14, 14]);
        let why = |value: u64, bytes: &mut Vec<u8>| {
            payload.write(&Odd(value), bytes).unwrap_err().to_string()
        };
        assert!(why(13, &mut bytes).contains("no 13"));
        assert!(why(70_000, &mut bytes).contains("takes 10 bytes, and at most 4 may travel"));
        assert_eq!(bytes, [7, 1, 1, 14, 14]);
        assert_eq!(payload.read::<Odd>(&bytes[1..3]).unwrap().0, 1);
        assert!(payload.read::<Odd>(&bytes[3..]).err().unwrap().to_string().contains("no 14"));
        assert!(payload.read::<Odd>(&bytes[4..]).is_err());
    }
}
