//! The commit that is made, under way or answered: a worker has one at a time.

use crate::broker::{Commit, Conflict, Token};

/// How far the last commit has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its answer is known to everything that it concerns.
    #[default]
    Idle,
    /// What finished tasks have merged is being collected: none may finish meanwhile.
    Collecting,
    /// It is being written.
    Writing,
    /// It was sent.
    UnderWay,
    /// It was answered, and the dict does not know it yet.
    Answered,
    /// The answer is being applied to the dict.
    Settling,
}

/// What a commit was answered.
#[derive(Debug)]
pub(super) enum Reply {
    Committed,
    Lost,
    Conflict(Conflict),
}

/// The last commit of a worker.
#[derive(Default)]
pub(super) struct Sending {
    pub(super) stage: Stage,
    /// The lease that it ends, and the one under which that goes on.
    lease: Option<Token>,
    successor: Option<Token>,
    /// There from when it was sent.
    commit: Option<Commit>,
    reply: Option<Reply>,
}

impl Sending {
    /// A commit is about to be made.
    pub(super) fn begin(&mut self, lease: Token, successor: Option<Token>) {
        debug_assert!(self.is_idle(), "one commit at a time");
        let stage = Stage::Collecting;
        *self = Self { stage, lease: Some(lease), successor, ..Self::default() };
    }

    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Whether an answer can be [taken](Sending::take_reply).
    pub(super) fn is_answered(&self) -> bool {
        // Whoever has sent it puts it here when that is done, which may be after the answer.
        self.stage == Stage::Answered && self.commit.is_some()
    }

    /// It was sent; it may have been answered by now.
    pub(super) fn sent(&mut self, commit: Commit) {
        self.commit = Some(commit);
    }

    /// An answer has come; false if it is not to this commit.
    pub(super) fn answer(&mut self, token: Token, reply: Reply) -> bool {
        let mine = self.stage == Stage::UnderWay && self.lease == Some(token);
        if mine {
            self.stage = Stage::Answered;
            self.reply = Some(reply);
        }
        mine
    }

    /// Takes the answer, to be applied.
    pub(super) fn take_reply(&mut self) -> Option<(Commit, Reply)> {
        if !self.is_answered() {
            return None;
        }
        self.stage = Stage::Settling;
        self.commit.take().zip(self.reply.take())
    }

    /// It is over and done.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// The lease whose fate the answer decides, not a renewal.
    pub(super) fn undecided(&self) -> Option<Token> {
        self.successor
    }

    /// What has to be renewed: the broker knows one of the two.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        [self.lease, self.successor].into_iter().flatten()
    }
}
