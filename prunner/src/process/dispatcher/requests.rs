//! What workers ask of their dispatcher.

use super::{
    Dispatcher, ServeError,
    line::{Dying, Line, Seat, SeatId},
};
use crate::{
    broker::{Commit, Read, Release, Token},
    process::{
        dump,
        wire::{ToParent, ToWorker},
    },
};

/// At most so many tokens may be wanted by one seat.
pub(super) const MOST_WANTED: usize = 4;

impl Dispatcher {
    /// Does what a worker asks for.
    pub(crate) fn handle(&mut self, from: usize, up: ToParent) -> Result<(), ServeError> {
        match up {
            ToParent::Ready | ToParent::Refused(_) | ToParent::Unable(_) => {
                return Err(ServeError::Protocol("it says hello in the middle of a run".into()));
            }
            ToParent::Posts { seat, batches } => self.seat(from, seat)?.posts.extend(batches),
            ToParent::Writes { seat, writes } => self.seat(from, seat)?.writes.extend(writes),
            ToParent::Step { seat, commit, want } => {
                self.step(SeatId { line: from, seat }, commit, want)?;
            }
            ToParent::Lock { seat, token } => {
                self.seat(from, seat)?.lock = Some(token);
                self.ask_for_lock(SeatId { line: from, seat })?;
            }
            ToParent::Read { seat, token, key, known } => {
                self.read(SeatId { line: from, seat }, token, &key, known)?;
            }
            ToParent::Renew(tokens) => self.renew(from, &tokens)?,
            ToParent::Release { seat, token, why } => {
                self.release(SeatId { line: from, seat }, token, why)?;
            }
            ToParent::Suspect { token, label, data } => self.name(from, token, label, data),
            ToParent::Broken(why) => {
                self.broken.get_or_insert(why);
            }
            ToParent::Dying { seat, why } => {
                if let Some(line) = self.line(from) {
                    line.dying.get_or_insert(Dying { seat, why });
                }
            }
            ToParent::State(text) => {
                dump::print(&format!("prunner: worker process {from} says of its state:\n{text}\n"))
            }
        }
        Ok(())
    }

    fn line(&mut self, line: usize) -> Option<&mut Line> {
        self.lines.get_mut(line).and_then(Option::as_mut)
    }

    /// A seat commits, or has nothing to do; it wants a lease for each token.
    fn step(
        &mut self,
        place: SeatId,
        commit: Option<Commit>,
        want: Vec<Token>,
    ) -> Result<(), ServeError> {
        if let Some(line) = self.line(place.line) {
            line.asked = true;
        }
        let mine = self.seat(place.line, place.seat)?;
        mine.want.extend(want);
        if mine.want.len() > MOST_WANTED || mine.commit.is_some() {
            return Err(ServeError::Protocol("it asks before it was answered".into()));
        }
        let Some(commit) = commit else {
            self.wait(place);
            return Ok(());
        };
        let commit = mine.complete(commit);
        self.commit(place, commit)
    }

    fn read(
        &mut self,
        place: SeatId,
        token: Token,
        key: &str,
        known: u64,
    ) -> Result<(), ServeError> {
        let SeatId { line, seat } = place;
        self.seat(line, seat)?;
        let read = self.broker.read(token, key, known)?;
        if read == Read::Lost {
            self.lose(line, &[token]);
        }
        self.send(line, &ToWorker::Read { seat, read });
        Ok(())
    }

    fn renew(&mut self, from: usize, tokens: &[Token]) -> Result<(), ServeError> {
        let gone = self.broker.renew(tokens)?;
        if !gone.is_empty() {
            self.lose(from, &gone);
            self.send(from, &ToWorker::Gone(gone));
        }
        Ok(())
    }

    /// A seat gives a lease back.
    fn release(&mut self, place: SeatId, token: Token, why: Release) -> Result<(), ServeError> {
        let mine = self.seat(place.line, place.seat)?;
        let at = mine.leases.iter().position(|lease| lease.token == token);
        if let Some(released) = at.and_then(|at| mine.leases.remove(at)) {
            self.broker.release(token, why)?;
            self.note_release(place.line, released.is_suspect);
        }
        self.wait(place);
        Ok(())
    }

    /// Notes what the task of a lease is called, if it kills its worker.
    fn name(&mut self, from: usize, token: Token, label: String, data: Option<String>) {
        let seats = self.line(from).into_iter().flat_map(|line| &mut line.seats);
        let mut leases = seats.flat_map(|seat| &mut seat.leases);
        if let Some(lease) = leases.find(|lease| lease.token == token) {
            lease.name(label, data);
        }
    }
}

impl Seat {
    /// The commit, with what has come ahead of it.
    fn complete(&mut self, mut commit: Commit) -> Commit {
        self.posts.append(&mut commit.posts);
        self.writes.append(&mut commit.writes);
        commit.posts = std::mem::take(&mut self.posts);
        commit.writes = std::mem::take(&mut self.writes);
        commit
    }
}
