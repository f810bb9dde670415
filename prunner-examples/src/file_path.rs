//! A path that can travel to another process, whatever its name.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path in a task or in its arguments.
///
/// A `PathBuf` is written by serde as text, and one that is not UTF-8 not at all. On Unix this type
/// is written as the bytes that a path is there; elsewhere it is as particular as `PathBuf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl From<PathBuf> for FilePath {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Deref for FilePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        self
    }
}

#[cfg(unix)]
mod bytes {
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    };

    use prunner::Bytes;

    use super::*;

    impl Serialize for FilePath {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0.as_os_str().as_bytes())
        }
    }

    impl<'de> Deserialize<'de> for FilePath {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let Bytes(bytes) = Bytes::deserialize(deserializer)?;
            Ok(Self(OsString::from_vec(bytes).into()))
        }
    }
}

#[cfg(not(unix))]
mod text {
    use super::*;

    impl Serialize for FilePath {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for FilePath {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            PathBuf::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn travelled(path: &FilePath) -> FilePath {
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(path, config).expect("a path can be written");
        let (copy, read) = bincode::serde::decode_from_slice(&bytes, config).expect("and read");
        assert_eq!(read, bytes.len());
        copy
    }

    #[test]
    fn paths_travel() {
        for path in ["", "/", "a/b c/größe", "../x"] {
            let path = FilePath::from(PathBuf::from(path));
            assert_eq!(travelled(&path), path);
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_that_are_not_text_travel() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

        let path = FilePath::from(PathBuf::from(OsStr::from_bytes(b"/\xff/\xfe\n\x01")));
        assert_eq!(path.to_str(), None);
        assert_eq!(travelled(&path), path);
    }
}
