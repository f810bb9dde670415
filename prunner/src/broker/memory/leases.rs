//! The leases that are out, and how long they last.

use std::{collections::HashMap, fmt, time::Duration};

use crate::broker::{Batch, Token};

/// Who holds what, and until when.
pub(super) struct Leases {
    held: HashMap<Token, Held>,
    /// How long a lease lasts.
    lasts: Duration,
    /// The time as it was last given.
    now: Duration,
    /// No lease expires before this. Renewals and commits leave it as it is: it may be too early,
    /// and then a look at all leases corrects it.
    earliest: Duration,
    /// Leases so far.
    taken: u64,
}

struct Held {
    batch: Batch,
    expires: Duration,
    /// The number of the lease: those that expire together come back in the order they were taken.
    number: u64,
}

/// Each with the time that it lasts, for [`describe`](crate::broker::Broker::describe).
impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts = |held: &Held| held.expires.saturating_sub(self.now);
        let held = self.held.iter().map(|(token, held)| (token, (&held.batch, lasts(held))));
        f.debug_map().entries(held).finish()
    }
}

impl Leases {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { held: HashMap::new(), lasts, now: Duration::ZERO, earliest: Duration::MAX, taken: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn holds(&self, token: Token) -> bool {
        self.held.contains_key(&token)
    }

    pub(super) fn batch(&self, token: Token) -> Option<&Batch> {
        self.held.get(&token).map(|held| &held.batch)
    }

    /// The batches of all leases, in no order.
    pub(super) fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.held.values().map(|held| &held.batch)
    }

    pub(super) fn next_expiry(&self) -> Duration {
        self.earliest
    }

    pub(super) fn insert(&mut self, token: Token, batch: Batch) {
        let expires = self.now.saturating_add(self.lasts);
        self.earliest = self.earliest.min(expires);
        self.taken += 1;
        self.held.insert(token, Held { batch, expires, number: self.taken });
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Batch> {
        self.held.remove(&token).map(|held| held.batch)
    }

    /// Whether there was such a lease to renew.
    pub(super) fn renew(&mut self, token: Token) -> bool {
        let expires = self.now.saturating_add(self.lasts);
        self.held.get_mut(&token).map(|held| held.expires = expires).is_some()
    }

    /// Tells the time, and returns the leases that are over by it, which are still held.
    pub(super) fn pass_to(&mut self, now: Duration) -> Vec<Token> {
        self.now = now;
        if now < self.earliest {
            return Vec::new();
        }
        let mut expired = Vec::new();
        self.earliest = Duration::MAX;
        for (&token, held) in &self.held {
            if held.expires <= now {
                expired.push((held.expires, held.number, token));
            } else {
                self.earliest = self.earliest.min(held.expires);
            }
        }
        expired.sort_unstable();
        expired.into_iter().map(|(.., token)| token).collect()
    }
}
