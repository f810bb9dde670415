//! Brokers that confuse leases.

use super::twist::*;

/// Numbers the leases itself.
pub(crate) struct Numbered {
    inner: Memory,
    next: Mutex<u128>,
}

impl Numbered {
    pub(crate) fn new(made: Inner) -> Self {
        Self { inner: made.broker(), next: Mutex::new(1) }
    }
}

impl Twist for Numbered {
    fn inner(&self) -> Memory {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let mut next = self.next.lock().unwrap();
        let numbers: Vec<_> = (*next..).map(Token).take(want.len()).collect();
        *next += want.len() as u128;
        self.inner.step(commit, &numbers)
    }
}

#[test]
fn leases_that_the_broker_numbers_are_found() {
    fails("one_batch_for_each_token", "leases are named by who asks for them", Numbered::new);
}

/// Knows leases by their places in a table, which are used again.
struct Places {
    inner: Memory,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    place_of: HashMap<Token, usize>,
    holders: Vec<Token>,
}

impl Places {
    pub(crate) fn new(made: Inner) -> Self {
        Self { inner: made.broker(), table: Mutex::default() }
    }
}

impl Twist for Places {
    fn inner(&self) -> Memory {
        self.inner.clone()
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        let mut table = self.table.lock().unwrap();
        let mut commit = commit.cloned();
        if let Some(commit) = &mut commit
            && let Some(&place) = table.place_of.get(&commit.token)
        {
            commit.token = table.holders[place];
        }
        let step = self.inner.step(commit.as_ref(), want)?;
        if let Step::Leased(leases, _) = &step {
            for Lease { token, .. } in leases {
                let gone = |holder: &Token| self.inner.read(*holder, "", 0).unwrap() == Read::Lost;
                let place = table.holders.iter().position(gone).unwrap_or(table.holders.len());
                match table.holders.get_mut(place) {
                    Some(holder) => *holder = *token,
                    None => table.holders.push(*token),
                }
                table.place_of.insert(*token, place);
            }
        }
        Ok(step)
    }
}

#[test]
fn names_of_leases_that_are_used_again_are_found() {
    fails("late_commits_do_nothing", "a commit that comes too late is lost", Places::new);
}
