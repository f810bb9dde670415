//! Brokers that hold a lease of their own, and those that look after the ends of leases themselves.

use super::twist::*;

/// A lease under which a twist commits what nobody has asked it for. It never ends, so neither does
/// the run of the broker behind it.
pub(crate) struct OwnLease {
    inner: Memory,
    token: Mutex<Token>,
}

impl OwnLease {
    /// Puts a batch for it into a run.
    pub(crate) fn prepare(made: &mut Inner) {
        made.first.push(Batch { priority: Priority::High, ..Batch::default() });
    }

    /// Takes that batch, before anybody else takes one.
    pub(crate) fn take(inner: &Memory) -> Self {
        let token = Token::random();
        inner.step(None, &[token]).unwrap();
        Self { inner: Arc::clone(inner), token: Mutex::new(token) }
    }

    /// Applies what `commit` says, except that it keeps a lease.
    pub(crate) fn commit(&self, commit: Commit) {
        let mut token = self.token.lock().unwrap();
        let next = Token::random();
        let kept = Lease { token: next, batch: Batch::default() };
        let commit = Commit { token: *token, successor: Some(kept), ..commit };
        self.inner.step(Some(&commit), &[]).unwrap();
        *token = next;
    }

    /// Writes, whatever the versions are.
    pub(crate) fn write(&self, writes: &[Write]) {
        let token = *self.token.lock().unwrap();
        let on_top = |write: &Write| match self.inner.read(token, &write.key, 0).unwrap() {
            Read::Entry(Entry { version, .. }) => Write { version, ..write.clone() },
            read => panic!("{read:?} for a lease that never ends"),
        };
        let writes = writes.iter().map(on_top).collect();
        self.commit(Commit { writes, ..Commit::new(token) });
    }

    /// Puts batches into the queue.
    pub(crate) fn post(&self, posts: Vec<Batch>) {
        self.commit(Commit { posts, ..Commit::new(Token::random()) });
    }
}

/// What is wrong with the ends of leases.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// What is given back is for a moment neither leased nor queued.
    GapAtRelease,
    /// What expires is for a moment neither leased nor queued.
    GapAtExpiry,
    /// What expires waits for the next one who watches, and holds no end open until then.
    Limbo,
    /// A lease that has expired is said to be gone when it is renewed, and is out again.
    Revived,
    /// A lease that has expired is said to be held when it is renewed.
    NeverGone,
}

/// A broker in front of one whose leases never expire, because its clock stands still.
struct Expiring {
    flaw: Flaw,
    inner: Memory,
    own: OwnLease,
    clock: Arc<TestClock>,
    leases: Mutex<Leases>,
}

#[derive(Default)]
struct Leases {
    /// Each with the time of its end.
    out: HashMap<Token, (Batch, Duration)>,
    expired: HashMap<Token, Batch>,
    limbo: Vec<Batch>,
    returned: u64,
}

impl Expiring {
    fn new(flaw: Flaw, mut made: Inner) -> Self {
        OwnLease::prepare(&mut made);
        let inner = made.on_clock(Arc::default());
        let own = OwnLease::take(&inner);
        Self { flaw, inner, own, clock: made.clock, leases: Mutex::default() }
    }

    fn add(&self, leases: &mut Leases, token: Token, batch: Batch) {
        leases.out.insert(token, (batch, self.clock.now() + LEASE));
    }

    /// Ends a lease; its batch is then nowhere.
    fn remove(&self, leases: &mut Leases, token: Token) -> Option<Batch> {
        let (batch, _) = leases.out.remove(&token)?;
        self.inner.step(Some(&Commit::new(token)), &[]).unwrap();
        Some(batch)
    }

    /// Looks what has expired.
    fn pass(&self) {
        let mut leases = self.leases.lock().unwrap();
        let now = self.clock.now();
        let over = leases.out.iter().filter(|(_, (_, ends))| *ends <= now);
        let mut over: Vec<_> = over.map(|(&token, _)| token).collect();
        over.sort_unstable();
        let mut back = Vec::new();
        for token in over {
            let batch = self.remove(&mut leases, token).unwrap();
            leases.expired.insert(token, batch.clone());
            leases.returned += 1;
            let (attempt, interruptions) = (batch.attempt + 1, batch.interruptions + 1);
            back.push(Batch { attempt, interruptions, ..batch });
        }
        match self.flaw {
            Flaw::Limbo => return leases.limbo.append(&mut back),
            Flaw::GapAtExpiry if !back.is_empty() => {
                drop(leases);
                linger();
            }
            _ => {}
        }
        self.own.post(back);
    }
}

impl Twist for Expiring {
    fn inner(&self) -> Memory {
        Arc::clone(&self.inner)
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        self.pass();
        let mut leases = self.leases.lock().unwrap();
        let step = self.inner.step(commit, want)?;
        if let Some(commit) = commit
            && !matches!(step, Step::Lost | Step::Conflict(_))
        {
            leases.out.remove(&commit.token);
            if let Some(kept) = &commit.successor {
                self.add(&mut leases, kept.token, kept.batch.clone());
            }
        }
        if let Step::Leased(leased, _) = &step {
            for Lease { token, batch } in leased {
                self.add(&mut leases, *token, batch.clone());
            }
        }
        let is_over =
            || leases.out.is_empty() && self.inner.watch(0, Duration::ZERO).unwrap().queued == 0;
        Ok(if matches!(step, Step::Empty(_)) && is_over() { Step::Done } else { step })
    }

    fn renew(&self, tokens: &[Token]) -> Result<Vec<Token>, BrokerError> {
        self.pass();
        let mut leases = self.leases.lock().unwrap();
        let mut gone = self.inner.renew(tokens)?;
        for token in tokens.iter().filter(|token| !gone.contains(token)) {
            leases.out.get_mut(token).unwrap().1 = self.clock.now() + LEASE;
        }
        match self.flaw {
            Flaw::NeverGone => gone.retain(|token| !leases.expired.contains_key(token)),
            Flaw::Revived => {
                for token in &gone {
                    let Some(batch) = leases.expired.remove(token) else { continue };
                    self.own.post(vec![batch.clone()]);
                    self.inner.step(None, &[*token])?;
                    self.add(&mut leases, *token, batch);
                }
            }
            _ => {}
        }
        Ok(gone)
    }

    fn release(&self, token: Token, why: Release) -> Result<(), BrokerError> {
        self.pass();
        let mut leases = self.leases.lock().unwrap();
        let Some(batch) = self.remove(&mut leases, token) else { return Ok(()) };
        let again = u32::from(why != Release::Unstarted);
        leases.returned += u64::from(again);
        if self.flaw == Flaw::GapAtRelease {
            drop(leases);
            linger();
        }
        self.own.post(vec![Batch { attempt: batch.attempt + again, ..batch }]);
        Ok(())
    }

    fn watch(&self, seen: u64, patience: Duration) -> Result<Status, BrokerError> {
        self.pass();
        let limbo = std::mem::take(&mut self.leases.lock().unwrap().limbo);
        self.own.post(limbo);
        self.inner.watch(seen, patience)
    }

    fn outcome(&self) -> Result<Outcome, BrokerError> {
        self.pass();
        let returned = self.leases.lock().unwrap().returned;
        Ok(Outcome { returned, ..self.inner.outcome()? })
    }
}

fn expiring_fails(flaw: Flaw, name: &str, rule: &str) {
    fails(name, rule, move |made| Expiring::new(flaw, made));
}

#[test]
fn without_a_flaw_leases_expire_as_they_should() {
    let names = [
        "an_expired_lease_is_no_end",
        "expired_leases_come_back",
        "renewed_leases_stay",
        "what_expires_holds_the_end_open",
        "what_is_given_back_holds_the_end_open",
    ];
    for name in names {
        let verdict = verdict(name, &twisted(|made| Expiring::new(Flaw::None, made)));
        assert_eq!(verdict, None, "{name}");
    }
}

#[test]
fn an_end_while_a_batch_is_on_its_way_is_found() {
    let rule = "what is given back holds the end open at every moment";
    expiring_fails(Flaw::GapAtRelease, "what_is_given_back_holds_the_end_open", rule);
    let rule = "the end is not found while something is left";
    expiring_fails(Flaw::GapAtRelease, "what_many_do_at_once_adds_up", rule);
    let rule = "what expires holds the end open at every moment";
    expiring_fails(Flaw::GapAtExpiry, "what_expires_holds_the_end_open", rule);
}

#[test]
fn an_end_that_leaves_out_what_has_expired_is_found() {
    let rule = "a lease that has just expired is no end";
    expiring_fails(Flaw::Limbo, "an_expired_lease_is_no_end", rule);
}

#[test]
fn expired_leases_that_can_be_renewed_are_found() {
    let rule = "leases that came back are counted";
    expiring_fails(Flaw::Revived, "expired_leases_come_back", rule);
    let rule = "an expired lease is gone";
    expiring_fails(Flaw::NeverGone, "expired_leases_come_back", rule);
}
