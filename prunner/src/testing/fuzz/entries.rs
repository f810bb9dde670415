//! Values of the dict as bytes.

use std::{
    any::type_name,
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Debug,
    time::Duration,
};

use super::Script;
use crate::{
    Dict, Key,
    broker::{Encoded, Entry},
    codec::{self, Bytes},
    dict,
};

/// A type as programs have them.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) enum Shape {
    Unit,
    New(Option<Box<u64>>),
    Tuple(u8, char, i128),
    Struct { name: String, bytes: Bytes, limits: [u16; 3] },
}

/// The first byte chooses the type, and all others are the value. Either it cannot be read, which `get`
/// tells by a panic that names the entry, or it is one that can be written and read again.
pub fn entries(bytes: &[u8]) {
    let mut script = Script(bytes);
    match script.byte() {
        Some(0) => check::<u64>(script.0),
        Some(1) => check::<String>(script.0),
        Some(2) => check::<Vec<(u32, String)>>(script.0),
        Some(3) => check::<BTreeMap<String, Vec<u64>>>(script.0),
        Some(4) => check::<HashMap<u64, Option<char>>>(script.0),
        Some(5) => check::<Vec<u128>>(script.0),
        Some(6) => check::<(bool, i16, BTreeSet<i64>)>(script.0),
        Some(7) => check::<Duration>(script.0),
        Some(8) => check::<Shape>(script.0),
        Some(9) => check::<Vec<Vec<Vec<Bytes>>>>(script.0),
        Some(10) => check::<Box<[[u64; 16]]>>(script.0),
        _ => {}
    }
}

fn check<V: dict::Value + Clone + PartialEq + Debug>(bytes: &[u8]) {
    let key = Key::<V>::new("entry");
    let of_type =
        |name: &str, bytes: &[u8]| Encoded { type_name: name.into(), bytes: Bytes(bytes.to_vec()) };
    assert!(dict::decode(key, &of_type("another", bytes)).is_err(), "two types of one name");
    let Ok(value) = dict::decode(key, &of_type(type_name::<V>(), bytes)) else { return };
    let again = codec::to_bytes(&value).expect("it came from bytes");
    let entry = |bytes: &[u8]| {
        let value = Some(of_type(type_name::<V>(), bytes));
        Dict::from_entries(vec![Entry { key: "entry".into(), version: 1, value }])
    };
    assert_eq!(entry(bytes).get(key).as_ref(), Some(&value));
    assert_eq!(entry(&again).remove(key), Some(value));
}
