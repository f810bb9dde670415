//! Brokers whose runs have something in common.

use super::twist::*;

/// Has one dict, or one lock, for all runs.
struct Shared {
    inner: Memory,
    dict: Option<Arc<Mutex<HashMap<String, Entry>>>>,
    holder: Option<Arc<Mutex<Option<Token>>>>,
}

impl Twist for Shared {
    fn inner(&self) -> Memory {
        Arc::clone(&self.inner)
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let step = self.inner.step(commit, want)?;
        if let (Some(dict), Some(commit)) = (&self.dict, commit)
            && !matches!(step, Step::Lost | Step::Conflict(_))
        {
            for Write { key, version, value } in commit.writes.clone() {
                let entry = Entry { key: key.clone(), version: version + 1, value };
                dict.lock().unwrap().insert(key, entry);
            }
        }
        Ok(step)
    }

    fn lock(&self, token: Token) -> Result<Lock, BrokerError> {
        if let Some(holder) = &self.holder
            && *holder.lock().unwrap().get_or_insert(token) != token
        {
            return Ok(Lock::Busy);
        }
        self.inner.lock(token)
    }

    fn read(&self, token: Token, key: &str, known: u64) -> Result<Read, BrokerError> {
        let shared = self.dict.as_ref().and_then(|dict| dict.lock().unwrap().get(key).cloned());
        Ok(match (self.inner.read(token, key, known)?, shared) {
            (Read::Entry(_), Some(entry)) => Read::Entry(entry),
            (read, _) => read,
        })
    }
}

#[test]
fn runs_that_share_something_are_found() {
    let dict = Arc::default();
    fails("runs_are_apart", "each run has a dict of its own", move |made| Shared {
        inner: made.broker(),
        dict: Some(Arc::clone(&dict)),
        holder: None,
    });
    let holder = Arc::default();
    fails("runs_are_apart", "each run has a lock of its own", move |made| Shared {
        inner: made.broker(),
        dict: None,
        holder: Some(Arc::clone(&holder)),
    });
}
