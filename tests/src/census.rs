//! Values that are counted from their birth to their drop.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Who was born and how often each was dropped.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<Mutex<Vec<u8>>>);

impl Census {
    /// Nobody was born yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new citizen.
    pub fn birth(&self) -> Citizen {
        self.with(|drops| {
            drops.push(0);
            Citizen { census: self.clone(), number: drops.len() - 1 }
        })
    }

    /// How many were ever born.
    pub fn born(&self) -> usize {
        self.with(|drops| drops.len())
    }

    /// Checks that each citizen was dropped once: none is alive, none was dropped again.
    ///
    /// # Panics
    ///
    /// When it is not so.
    #[track_caller]
    pub fn assert_all_dropped_once(&self) {
        let (leaked, dropped_again) = self.with(|drops| {
            let count = |wrong: fn(u8) -> bool| drops.iter().filter(|&&it| wrong(it)).count();
            (count(|drops| drops == 0), count(|drops| drops > 1))
        });
        assert!(self.born() > 0, "nobody was counted");
        assert_eq!((leaked, dropped_again), (0, 0), "(leaked, dropped again)");
    }

    fn with<O>(&self, f: impl FnOnce(&mut Vec<u8>) -> O) -> O {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A value whose drop is noted. A clone is a new citizen of the same census.
#[derive(Debug)]
pub struct Citizen {
    census: Census,
    number: usize,
}

impl Clone for Citizen {
    fn clone(&self) -> Self {
        self.census.birth()
    }
}

impl Drop for Citizen {
    fn drop(&mut self) {
        self.census.with(|drops| drops[self.number] += 1);
    }
}

impl Serialize for Citizen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.number as u64)
    }
}

/// Citizens do not travel: on threads nothing is serialized.
impl<'de> Deserialize<'de> for Citizen {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("a citizen was deserialized on threads"))
    }
}
