//! What keys, labels and values are called: bytes that mean nothing to a broker.

use super::*;

/// Names that a broker must not take for one another, nor for anything else.
const NAMES: [&str; 15] = [
    "",
    "k",
    "K",
    " k",
    "k ",
    "k:1",
    "k:2",
    "k\0",
    "k\n",
    "k\r\n$3",
    "k{}",
    "k*",
    "schl\u{fc}ssel",
    "0",
    "00",
];

/// Keys, labels and names of types are taken as they are, and a value of no bytes is a value.
pub(super) fn names_are_taken_as_they_are(make: Fresh<'_>) {
    let long = "n".repeat(5000);
    let mut names = NAMES.to_vec();
    names.push(&long);
    let run = Run::new(make, [batch(&[b"a"]), batch(&[b"b"])]);
    let reader = run.take();
    let named = |number: usize, name: &str| Encoded {
        type_name: format!("of {name}"),
        bytes: Bytes(number.to_string().into()),
    };
    let numbered = || names.iter().enumerate();
    let writes = numbered().map(|(number, name)| write(name, 0, Some(named(number, name))));
    let labels = numbered().map(|(number, name)| count(name, number as u64 + 1, 0));
    let commit = Commit {
        writes: writes.collect(),
        labels: labels.clone().collect(),
        ..Commit::new(run.take().token)
    };
    assert_eq!(run.commit(&commit), Step::Empty(0), "names may be anything");

    let mut labels: Vec<_> = labels.collect();
    labels.sort_by(|one, other| one.label.cmp(&other.label));
    assert_eq!(run.outcome().labels, labels, "labels are taken as they are");
    let mut entries: Vec<_> =
        numbered().map(|(number, name)| entry(name, 1, Some(named(number, name)))).collect();
    for entry in &entries {
        let read = run.read(reader.token, &entry.key, 0);
        assert_eq!(read, Read::Entry(entry.clone()), "keys are taken as they are");
    }
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    assert_eq!(run.outcome().entries, entries, "keys are taken as they are");

    let nothing = Some(Encoded { type_name: String::new(), bytes: Bytes::default() });
    let kept = successor();
    let token = kept.token;
    let writes = vec![write("k", 1, nothing.clone())];
    run.commit(&Commit { writes, successor: Some(kept), ..Commit::new(reader.token) });
    let now = Read::Entry(entry("k", 2, nothing));
    assert_eq!(run.read(token, "k", 0), now, "a value of no bytes is a value, of any type");
}
