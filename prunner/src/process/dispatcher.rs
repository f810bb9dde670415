//! The parent's side of the conversation with its workers, without sockets and processes: frames in,
//! frames out. It can stand before any broker.

mod line;
mod requests;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use line::{Line, Seat, SeatId};

use super::{
    death::Death,
    suspects::{Killer, Obituaries, SeatLease, lost},
    wire::{ToWorker, WireError},
};
use crate::{
    broker::{Broker, BrokerError, Commit, DeadLetter, Entry, Lock, Release, Step, Token},
    codec,
    failure::{Failure, FailureLog},
    settings::LeaseSettings,
};

/// An answer with entries of the dict takes no more once it is this large.
const CONFLICT_FRAME: usize = 16 << 20;

/// How long others wait for a worker that has to make its commit anew.
const TURN: Duration = Duration::from_millis(5);

/// All workers of a run, as far as they lease and commit.
pub(crate) struct Dispatcher {
    broker: Arc<dyn Broker>,
    lines: Vec<Option<Line>>,
    /// Seats that have nothing to do, the first one longest.
    idle: VecDeque<SeatId>,
    /// Whose commit was a conflict, and when: until it comes again no other writes the dict. Else ten
    /// workers that merge into one entry would refute each other eight times a commit.
    turn: Option<(SeatId, Instant)>,
    /// Whether new leases are given out.
    leasing: bool,
    /// Seats of workers that are starting, or could be started: they wait for tasks, too.
    startable: usize,
    /// What is said of tasks that have lost workers.
    obituaries: Obituaries,
    settings: LeaseSettings,
    broken: Option<String>,
    /// How many tasks have ended, as far as it was committed.
    ended: u64,
    /// How many leases were judged: their tasks have become suspects, or have crashed once more.
    judged: u64,
}

/// Why a worker cannot be talked to any more.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// It said something that makes no sense.
    Protocol(String),
    /// The broker failed: the run cannot go on.
    Broker(BrokerError),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(text) => write!(f, "it broke the protocol: {text}"),
            Self::Broker(error) => error.fmt(f),
        }
    }
}

impl From<BrokerError> for ServeError {
    fn from(error: BrokerError) -> Self {
        Self::Broker(error)
    }
}

impl From<WireError> for ServeError {
    fn from(error: WireError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl Dispatcher {
    pub(crate) fn new(broker: Arc<dyn Broker>, settings: LeaseSettings) -> Self {
        Self {
            broker,
            lines: Vec::new(),
            idle: VecDeque::new(),
            turn: None,
            leasing: true,
            startable: 0,
            obituaries: Obituaries::new(settings.max_interruptions),
            settings,
            broken: None,
            ended: 0,
            judged: 0,
        }
    }

    /// Notes dead tasks here, as others of the run do.
    pub(crate) fn log_failures(&mut self, log: Arc<FailureLog>) {
        self.obituaries.log = log;
    }

    fn log_dead(&self, dead: &[DeadLetter]) {
        for letter in dead {
            match codec::decode::<Failure>(&letter.report.0) {
                Ok(failure) => {
                    let lead = format_args!("task died on worker {}", failure.worker());
                    self.obituaries.log.add(lead, &failure);
                }
                Err(error) => log::error!("task died: its report {error}"),
            }
        }
    }

    /// Opens the line to worker `line`, which has so many seats.
    pub(crate) fn open(&mut self, line: usize, seats: u16) {
        if self.lines.len() <= line {
            self.lines.resize_with(line + 1, || None);
        }
        self.lines[line] = Some(Line::new(seats));
    }

    /// Closes the line to a worker that has died, or ended. What it had goes back.
    pub(crate) fn close(&mut self, line: usize, death: &Death) -> Result<(), BrokerError> {
        let Some(closed) = self.lines.get_mut(line).and_then(Option::take) else {
            return Ok(());
        };
        self.idle.retain(|place| place.line != line);
        self.turn.take_if(|(place, _)| place.line == line);
        let tokens: Vec<Token> = closed.leases().map(|lease| lease.token).collect();
        let gone = if tokens.is_empty() { Vec::new() } else { self.broker.renew(&tokens)? };
        let verdicts = closed.verdicts(death.blame);
        let how = closed.dying.as_ref().map_or(&death.how, |dying| &dying.why);
        for (lease, why) in verdicts {
            match why {
                _ if gone.contains(&lease.token) => {
                    self.obituaries.interrupted(lease, line, &lost(self.settings.time));
                    continue;
                }
                Release::Crashed => {
                    self.judged += 1;
                    self.obituaries.crashed(lease, line, how);
                }
                Release::Interrupted => self.obituaries.interrupted(lease, line, how),
                Release::Unstarted => {}
            }
            self.broker.release(lease.token, why)?;
        }
        for token in closed.seats.iter().flat_map(|seat| &seat.want) {
            self.broker.release(*token, Release::Unstarted)?;
        }
        Ok(())
    }

    /// The tasks that have lost workers.
    pub(crate) fn into_killers(self) -> Vec<Killer> {
        self.obituaries.into_killers()
    }

    /// Whether workers have nothing to do, or could be started.
    pub(crate) fn has_idle(&self) -> bool {
        self.has_idle_seat() || self.expected() > 0
    }

    /// Whether a seat could start with something.
    fn has_idle_seat(&self) -> bool {
        self.idle_seats() > self.unasked()
    }

    fn has_room(&self, line: usize) -> bool {
        self.lines.get(line).and_then(Option::as_ref).is_some_and(Line::has_room)
    }

    /// Seats that will ask for tasks as soon as their workers have started.
    fn expected(&self) -> usize {
        self.startable + self.unasked()
    }

    /// Those whose workers have started just now.
    fn unasked(&self) -> usize {
        self.lines.iter().flatten().filter(|line| !line.asked).map(|line| line.seats.len()).sum()
    }

    /// How many tasks have ended, those of workers that have died since included. A commit alone says
    /// nothing: it may only give away what was not started.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    /// How many leases were judged when their workers died: each of them brings a task closer to its end,
    /// so there is an end to them.
    pub(crate) fn judged(&self) -> u64 {
        self.judged
    }

    /// Whether commits wait for that of another worker.
    pub(crate) fn is_in_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// Whether a worker has any leases.
    pub(crate) fn holds_leases(&self, line: usize) -> bool {
        let line = self.lines.get(line).and_then(Option::as_ref);
        line.is_some_and(|line| line.seats.iter().any(|seat| !seat.leases.is_empty()))
    }

    /// Why the dict cannot be made whole, if it cannot.
    pub(crate) fn take_broken(&mut self) -> Option<String> {
        self.broken.take()
    }

    /// Gives out no more leases, and notifies the workers.
    pub(crate) fn drain(&mut self) {
        self.leasing = false;
        self.tell_all(&ToWorker::Drain);
    }

    /// Tells the workers that there is nothing left to do.
    pub(crate) fn finish(&mut self) {
        self.leasing = false;
        self.tell_all(&ToWorker::Done);
    }

    /// Lets all workers say what they are doing.
    pub(crate) fn ask_for_dumps(&mut self) {
        self.tell_all(&ToWorker::Dump);
    }

    fn tell_all(&mut self, down: &ToWorker) {
        for line in 0..self.lines.len() {
            self.send(line, down);
        }
    }

    /// Says how many seats workers have that are starting, or could be started if there were work.
    pub(crate) fn set_startable(&mut self, startable: usize) {
        self.startable = startable;
    }

    /// How many seats have nothing to do and could start with something, or will say so in a moment.
    pub(crate) fn idle_seats(&self) -> usize {
        self.idle.iter().filter(|place| self.has_room(place.line)).count() + self.unasked()
    }

    /// What is to be sent to a worker; the caller takes off what it has sent.
    pub(crate) fn outbox(&mut self, line: usize) -> Option<&mut Vec<u8>> {
        self.lines.get_mut(line)?.as_mut().map(|line| &mut line.out)
    }

    fn seat(&mut self, line: usize, seat: u16) -> Result<&mut Seat, ServeError> {
        let line = self.lines.get_mut(line).and_then(Option::as_mut);
        line.and_then(|line| line.seats.get_mut(usize::from(seat)))
            .ok_or_else(|| ServeError::Protocol(format!("it has no seat {seat}")))
    }

    fn send(&mut self, line: usize, down: &ToWorker) {
        let Some(line) = self.lines.get_mut(line).and_then(Option::as_mut) else { return };
        if let Err(error) = line.send(down) {
            // It would wait for the answer for ever.
            self.broken.get_or_insert_with(|| format!("a worker cannot be answered: {error}"));
        }
    }

    fn commit(&mut self, place: SeatId, commit: Commit) -> Result<(), ServeError> {
        let SeatId { line, seat } = place;
        let token = commit.token;
        self.turn.take_if(|(whose, _)| *whose == place);
        let waits = self.turn.is_some() && !commit.writes.is_empty();
        let mine = self.seat(line, seat)?;
        if let Some(lease) = mine.leases.iter_mut().find(|lease| lease.token == token) {
            lease.ended = commit.successor.is_none();
        }
        if waits {
            mine.commit = Some(commit);
            return Ok(());
        }
        let answer = self.broker.step(Some(&commit), &[])?;
        let mine = self.seat(line, seat)?;
        let down = match answer {
            Step::Conflict(conflict) if conflict.entries.is_empty() => {
                // Nothing is wrong with it but that somebody holds the lock.
                mine.commit = Some(commit);
                return Ok(());
            }
            Step::Conflict(mut conflict) => {
                self.turn = Some((place, Instant::now()));
                bound(&mut conflict.entries);
                ToWorker::Conflict { seat, token, conflict }
            }
            Step::Lost => {
                self.lose(line, &[token]);
                ToWorker::Lost { seat, token }
            }
            Step::Leased(..) | Step::Empty(_) | Step::Done => {
                let at = mine.leases.iter().position(|lease| lease.token == token);
                let ended = at.and_then(|at| mine.leases.remove(at));
                if let Some(keep) = commit.successor {
                    let kept = match ended {
                        Some(ended) => ended.kept(&keep),
                        None => SeatLease::of(&keep),
                    };
                    mine.leases.push_front(kept);
                }
                self.log_dead(&commit.dead);
                let ended = commit.labels.iter().map(|it| it.finished.saturating_add(it.dead));
                self.ended = ended.fold(self.ended, u64::saturating_add);
                if let Some(line) = &mut self.lines[line] {
                    (line.notified, line.is_full) = ((false, false), false);
                }
                ToWorker::Committed { seat, token }
            }
        };
        self.send(line, &down);
        self.wait(place);
        Ok(())
    }

    /// Notes that a seat has nothing to do, if it has not.
    fn wait(&mut self, place: SeatId) {
        let Ok(seat) = self.seat(place.line, place.seat) else { return };
        let idle = seat.leases.is_empty() && !seat.want.is_empty();
        if idle && !self.idle.contains(&place) {
            self.idle.push_back(place);
        }
    }

    fn ask_for_lock(&mut self, place: SeatId) -> Result<(), ServeError> {
        let SeatId { line, seat } = place;
        let Some(token) = self.seat(line, seat)?.lock else { return Ok(()) };
        let lock = self.broker.lock(token)?;
        if lock != Lock::Busy {
            self.seat(line, seat)?.lock = None;
            if lock == Lock::Lost {
                self.lose(line, &[token]);
            }
            self.send(line, &ToWorker::Lock { seat, lock });
        }
        Ok(())
    }

    /// These leases of a worker are gone: it will drop what it has done of them without a word.
    fn lose(&mut self, line: usize, gone: &[Token]) {
        let Some(open) = self.lines.get_mut(line).and_then(Option::as_mut) else { return };
        let how = lost(self.settings.time);
        open.is_full = false;
        for seat in &mut open.seats {
            seat.leases.retain(|lease| {
                let is_gone = gone.contains(&lease.token);
                if is_gone {
                    log::warn!(
                        "worker process {line} has lost a lease, its tasks run elsewhere: {how}"
                    );
                    self.obituaries.interrupted(lease, line, &how);
                }
                !is_gone
            });
        }
        for seat in 0..open.seats.len() as u16 {
            self.wait(SeatId { line, seat });
        }
    }

    /// Does what may have become possible: commits and questions that waited for the lock, leases for
    /// those who have nothing to do, then one in advance for the others. Returns whether the run is
    /// over.
    pub(crate) fn pump(&mut self) -> Result<bool, ServeError> {
        self.turn.take_if(|(_, since)| since.elapsed() > TURN);
        for line in 0..self.lines.len() {
            let seats = self.lines[line].as_ref().map_or(0, |line| line.seats.len());
            for seat in 0..seats as u16 {
                let place = SeatId { line, seat };
                if let Some(commit) = self.seat(line, seat)?.commit.take() {
                    self.commit(place, commit)?;
                }
                self.ask_for_lock(place)?;
            }
        }
        if self.leasing {
            self.serve_idle()?;
            self.serve_ahead()?;
            self.ask_for_more()?;
        }
        Ok(self.broker.watch(0, Duration::ZERO)?.done)
    }

    fn serve_idle(&mut self) -> Result<(), ServeError> {
        while let Some(at) = self.idle.iter().position(|place| self.has_room(place.line)) {
            if !self.lease(self.idle[at])? {
                break;
            }
            self.idle.remove(at);
        }
        Ok(())
    }

    /// A suspect that was given back must not come again while others can take it: it could not be alone.
    fn note_release(&mut self, from: usize, is_suspect: bool) {
        let other = |place: &SeatId| place.line != from && self.has_room(place.line);
        let elsewhere = self.startable > 0 || self.idle.iter().any(other);
        if let Some(line) = self.lines.get_mut(from).and_then(Option::as_mut) {
            let is_busy = line.leases().next().is_some();
            line.is_full = is_busy && (line.is_full || (is_suspect && elsewhere));
        }
    }

    /// A second lease for those who have one, if there is more than enough.
    fn serve_ahead(&mut self) -> Result<(), ServeError> {
        if self.has_idle_seat() {
            return Ok(());
        }
        for line in 0..self.lines.len() {
            let open = self.lines[line].as_ref().filter(|line| line.has_room());
            let seats = open.map_or(0, |line| line.seats.len());
            for seat in 0..seats as u16 {
                let mine = self.seat(line, seat)?;
                let wants = !mine.want.is_empty() && !mine.leases.is_empty();
                if wants && self.broker.watch(0, Duration::ZERO)?.queued > self.expected() {
                    self.lease(SeatId { line, seat })?;
                }
            }
        }
        Ok(())
    }

    /// Leases a batch to a seat; false if there is none.
    fn lease(&mut self, place: SeatId) -> Result<bool, ServeError> {
        let SeatId { line, seat } = place;
        let Some(&token) = self.seat(line, seat)?.want.front() else { return Ok(true) };
        match self.broker.step(None, &[token])? {
            Step::Leased(leases, _) => {
                let mine = self.seat(line, seat)?;
                mine.want.pop_front();
                mine.leases.extend(leases.iter().map(SeatLease::of));
                self.send(line, &ToWorker::Leased { seat, leases });
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Tells those who have tasks that others have none, or wait for the lock.
    fn ask_for_more(&mut self) -> Result<(), ServeError> {
        let watched = self.broker.watch(0, Duration::ZERO)?;
        let lock = watched.lock_waiting > 0;
        let tasks = self.has_idle_seat() || self.expected() > watched.queued;
        if !tasks && !lock {
            return Ok(());
        }
        for number in 0..self.lines.len() {
            let Some(line) = &mut self.lines[number] else { continue };
            let busy = line.seats.iter().any(|seat| !seat.leases.is_empty());
            let news = (tasks && !line.notified.0) || (lock && !line.notified.1);
            if busy && news {
                line.notified = (tasks || line.notified.0, lock || line.notified.1);
                self.send(number, &ToWorker::Wanted { tasks, lock });
            }
        }
        Ok(())
    }
}

/// Leaves out entries beyond what one frame should hold: what is left out is a conflict once more when the
/// commit comes again.
fn bound(entries: &mut Vec<Entry>) {
    let mut size = 0;
    let fits = |entry: &Entry| {
        let before = size;
        size += entry.key.len() + entry.value.as_ref().map_or(0, |value| value.bytes.0.len());
        before < CONFLICT_FRAME
    };
    let fitting = entries.iter().map(fits).take_while(|fits| *fits).count();
    entries.truncate(fitting);
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("lines", &self.lines)
            .field("idle", &self.idle)
            .field("turn", &self.turn)
            .field("leasing", &self.leasing)
            .field("startable", &self.startable)
            .field("ended", &self.ended)
            .field("judged", &self.judged)
            .finish_non_exhaustive()
    }
}
