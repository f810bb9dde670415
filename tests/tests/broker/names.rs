//! Brokers for which names mean something.

use super::twist::*;

const CASE: &str = "names_are_taken_as_they_are";

#[test]
fn keys_that_are_changed_are_found() {
    let changes: [fn(&str) -> String; 3] =
        [|key| key.trim().to_owned(), str::to_lowercase, |key| key.replace('\0', "")];
    for change in changes {
        fails_edited(CASE, "keys are taken as they are", move |commit| {
            commit.writes.iter_mut().for_each(|write| write.key = change(&write.key));
        });
    }
}

#[test]
fn labels_that_are_cut_are_found() {
    fails_edited(CASE, "labels are taken as they are", |commit| {
        for count in &mut commit.labels {
            let length = count.label.find(':').unwrap_or(count.label.len());
            count.label.truncate(length);
        }
    });
}

#[test]
fn values_of_no_bytes_that_vanish_are_found() {
    fails_edited(CASE, "a value of no bytes is a value", |commit| {
        for write in &mut commit.writes {
            write.value.take_if(|value| value.bytes.0.is_empty());
        }
    });
}

/// Keeps the type that an entry had first.
struct Typed(Memory);

impl Twist for Typed {
    fn inner(&self) -> Memory {
        Arc::clone(&self.0)
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let mut commit = commit.cloned();
        if let Some(commit) = &mut commit {
            for write in &mut commit.writes {
                let first = self.0.read(commit.token, &write.key, 0)?;
                if let (Read::Entry(Entry { value: Some(first), .. }), Some(value)) =
                    (first, &mut write.value)
                {
                    value.type_name = first.type_name;
                }
            }
        }
        self.0.step(commit.as_ref(), want)
    }
}

#[test]
fn types_that_stay_are_found() {
    let rule = "a value of no bytes is a value, of any type";
    fails(CASE, rule, |made| Typed(made.broker()));
}
