//! Brokers that can take so much and no more.

use super::{crashes::Judging, twist::*};

const CASE: &str = "a_commit_may_be_large";

#[test]
fn posts_in_pieces_that_do_not_fit_are_found() {
    let rule = "a commit may post many batches";
    fails_edited(CASE, rule, |commit| commit.posts.truncate(4096));
    fails_edited(CASE, rule, |commit| {
        let pieces = commit.posts.chunks(64);
        // Each piece begins with the last one of the piece before.
        let last = |piece: &[Batch]| piece.get(63).cloned();
        commit.posts = pieces.flat_map(|it| it.iter().cloned().chain(last(it))).collect();
    });
}

#[test]
fn batches_that_are_cut_are_found() {
    let rule = "a batch comes as it was posted, however large";
    fails(CASE, rule, |mut made| {
        for batch in made.first.iter_mut().filter(|batch| batch.tasks.size() > 64 << 10) {
            let tasks: Vec<_> = batch.tasks.iter().map(Result::unwrap).collect();
            batch.tasks = batch_of(&tasks[..tasks.len() - 1]);
        }
        Bounded::new(&made)
    });
}

#[test]
fn crashes_that_lose_tasks_are_found() {
    let rule = "each task of a large batch comes back";
    fails(CASE, rule, |made| {
        let judge = |batch: &Batch, why| {
            let several = why == Release::Crashed && batch.tasks.len() > 4000;
            let single = |task: Result<&[u8], _>| Batch {
                suspect: true,
                tasks: Tasks::one(task.unwrap()),
                ..Batch::default()
            };
            several.then(|| batch.tasks.iter().take(4000).map(single).collect())
        };
        Judging::new(judge, &made)
    });
}

/// Looks at so many tokens and no more.
struct Bounded {
    inner: Memory,
    wanted: usize,
    renewed: usize,
}

impl Bounded {
    fn new(made: &Inner) -> Self {
        Self { inner: made.broker(), wanted: usize::MAX, renewed: usize::MAX }
    }
}

impl Twist for Bounded {
    fn inner(&self) -> Memory {
        Arc::clone(&self.inner)
    }

    fn step(&self, commit: Option<&Commit>, want: &[Token]) -> Result<Step, BrokerError> {
        self.inner.step(commit, &want[..want.len().min(self.wanted)])
    }

    fn renew(&self, tokens: &[Token]) -> Result<Vec<Token>, BrokerError> {
        let (first, others) = tokens.split_at(tokens.len().min(self.renewed));
        let gone = others.iter().copied().filter(|&token| !holds(&self.inner, token));
        Ok(self.inner.renew(first)?.into_iter().chain(gone).collect())
    }
}

#[test]
fn tokens_that_are_not_looked_at_are_found() {
    let rule = "a batch is leased for each token";
    fails(CASE, rule, |made| Bounded { wanted: 8, ..Bounded::new(&made) });
    let rule = "many leases are renewed at once";
    fails(CASE, rule, |made| Bounded { renewed: 100, ..Bounded::new(&made) });
}
