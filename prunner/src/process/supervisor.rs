//! The thread that starts worker processes, serves them, and sees to it that none is left.

use std::{
    fmt::Write as _,
    io::ErrorKind,
    os::{fd::AsFd, unix::process::ExitStatusExt},
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    begin::Outside,
    child::{Stage, WorkerProcess},
    clock::{HeardClock, Ticker},
    oom::OutOfMemory,
    poll::{Poll, Woken},
    server::{Killer, ServeError, Server},
    wire::{Up, Welcome},
};
use crate::{broker::Broker, engine::stop::Stop, failure::FailureLog};

/// How a worker is started and what it is told.
pub(super) struct Plan {
    pub(super) workers: usize,
    pub(super) seats: u16,
    /// The greeting and what follows it, for worker `n`.
    pub(super) first_words: Box<dyn Fn(usize) -> Vec<u8> + Send>,
    pub(super) prefixed: bool,
    pub(super) lease: Duration,
}

/// What the supervisor tells when no worker is left.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Why the run could not go on, if it could not.
    pub(super) failed: Option<Failed>,
    /// How many workers were started, not counting those that took the place of others.
    pub(super) started: usize,
    /// Tasks that have killed workers.
    pub(super) killers: Vec<Killer>,
}

#[derive(Debug)]
pub(super) enum Failed {
    /// The dict cannot be made whole.
    Dict(String),
    /// There are no workers to be had.
    Workers(String),
}

/// A worker says hello within this time, or it never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a worker takes to end when there is nothing left to do.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Supervisor {
    plan: Plan,
    broker: Arc<dyn Broker>,
    server: Server,
    outside: Arc<Outside>,
    stop: Arc<Stop>,
    woken: Woken,
    clock: Arc<HeardClock>,
    ticker: Ticker,
    out_of_memory: OutOfMemory,
    places: Vec<Place>,
    /// How many workers have died one after the other while none of them all has got anything done.
    deaths: u32,
    /// What there was at the last death: tasks that have ended, and that have died with their workers.
    progress: (u64, u64),
    failed: Option<Failed>,
    /// What a worker lacked that could not be started, and whether one alone was tried since.
    missing: Option<String>,
    tried_alone: bool,
    phase: Phase,
    renewed: Instant,
    /// Whether `begin` has posts that it is too early to publish.
    early: bool,
}

/// The place of one worker process.
#[derive(Default)]
struct Place {
    process: Option<WorkerProcess>,
    /// How many workers were started here, not counting those that were unable to work.
    started: u32,
    given_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Going,
    Draining,
    /// There is nothing left to do; since when.
    Over(Instant),
}

impl Supervisor {
    pub(super) fn new(
        plan: Plan,
        broker: Arc<dyn Broker>,
        outside: Arc<Outside>,
        stop: Arc<Stop>,
        woken: Woken,
        clock: Arc<HeardClock>,
        log: Arc<FailureLog>,
    ) -> Self {
        let places = (0..plan.workers).map(|_| Place::default()).collect();
        let server = Server::new(Arc::clone(&broker), log);
        Self {
            plan,
            broker,
            server,
            outside,
            stop,
            woken,
            clock,
            ticker: Ticker::new(),
            out_of_memory: OutOfMemory::new(),
            places,
            deaths: 0,
            progress: (0, 0),
            failed: None,
            missing: None,
            tried_alone: false,
            phase: Phase::Going,
            renewed: Instant::now(),
            early: false,
        }
    }

    /// Works until the run is over and no worker is left.
    pub(super) fn run(mut self) -> Ended {
        let mut poll = Poll::default();
        while !self.is_over() {
            self.start_workers();
            self.poll(&mut poll);
            self.look_at_the_clock();
            self.serve();
        }
        let started = self.places.iter().filter(|place| place.started > 0).count();
        Ended { failed: self.failed, started, killers: self.server.into_killers() }
    }

    fn is_over(&self) -> bool {
        self.phase != Phase::Going && self.places.iter().all(|place| place.process.is_none())
    }

    fn fail(&mut self, failed: Failed) {
        self.failed.get_or_insert(failed);
        self.stop.drain();
    }

    /// Starts as many workers as there is work for.
    fn start_workers(&mut self) {
        if self.phase != Phase::Going {
            return;
        }
        let queued = self.broker.watch(0, Duration::ZERO).map_or(0, |it| it.queued);
        let starting = self.places.iter().filter(|place| place.is_starting()).count();
        let seats = usize::from(self.plan.seats);
        let mut missing =
            queued.saturating_sub(self.server.idle_seats() + starting * seats).div_ceil(seats);
        for number in 0..self.places.len() {
            if missing == 0 {
                break;
            }
            let place = &self.places[number];
            if place.process.is_none() && !place.given_up && self.start_worker(number) {
                missing -= 1;
            }
        }
        while queued > 0 && self.failed.is_none() && self.places.iter().all(Place::is_lost) {
            self.last_resort();
        }
    }

    /// Starts a worker; false if there is none to be had.
    fn start_worker(&mut self, number: usize) -> bool {
        let place = &mut self.places[number];
        match WorkerProcess::start((self.plan.first_words)(number), self.plan.prefixed) {
            Ok(process) => {
                log::debug!("worker process {number} starts, pid {}", process.pid());
                place.process = Some(process);
                place.started += 1;
                true
            }
            Err(error) => {
                self.do_without(number, &error.to_string());
                false
            }
        }
    }

    /// This worker is not to be had, for want of something that others may still get.
    fn do_without(&mut self, number: usize, why: &str) {
        self.places[number].given_up = true;
        let left = self.places.iter().filter(|place| !place.given_up).count();
        log::warn!(
            "cannot start worker process {number}: {why}; going on with {left} of {} workers",
            self.places.len()
        );
        self.missing = Some(why.to_string());
    }

    /// No worker is left, and none is to be had. When each of several has failed to get what it needs
    /// because the others had it, one alone gets it.
    fn last_resort(&mut self) {
        match self.missing.take() {
            Some(_) if !self.tried_alone && self.places.len() > 1 => {
                self.tried_alone = true;
                log::warn!("one worker process is tried again, alone");
                self.places[0].given_up = false;
                self.start_worker(0);
            }
            Some(why) => {
                self.fail(Failed::Workers(format!("no worker process can be started: {why}")));
            }
            None => self.fail(Failed::Workers("no worker process can be started".into())),
        }
    }

    /// Waits until something happens, and takes in what has come.
    fn poll(&mut self, poll: &mut Poll) {
        poll.clear();
        poll.add(self.woken.fd(), false);
        for place in &self.places {
            let Some(process) = &place.process else { continue };
            poll.add(process.socket.as_fd(), process.is_sending());
            for pipe in &process.pipes {
                poll.add(pipe.fd(), false);
            }
        }
        if let Err(error) = poll.wait(self.until_due()) {
            self.fail(Failed::Workers(format!("cannot wait for the worker processes: {error}")));
        }
        if poll.is_ready(0) {
            self.woken.clear();
        }
        let mut at = 1;
        for number in 0..self.places.len() {
            let Some(process) = &mut self.places[number].process else { continue };
            let socket = poll.is_ready(at);
            at += 1;
            let prefix = format!("[{number}] ");
            process.pipes.retain_mut(|pipe| {
                at += 1;
                !poll.is_ready(at - 1) || pipe.pass_on(&prefix)
            });
            if socket {
                self.listen(number);
            }
        }
    }

    /// The time until something has to be done although nothing has happened.
    fn until_due(&self) -> Duration {
        match self.phase {
            _ if self.early || self.server.is_in_turn() => Duration::from_millis(1),
            Phase::Over(_) => Duration::from_millis(50),
            _ if self.places.iter().any(Place::is_starting) => Duration::from_millis(500),
            _ => self.plan.lease / 3,
        }
    }

    /// Takes in what a worker says, to the last word if it has died.
    fn listen(&mut self, number: usize) {
        let ended = loop {
            let Some(process) = &mut self.places[number].process else { return };
            match process.inbox.read_from(&mut &process.socket) {
                Ok(0) => break true,
                Ok(_) => process.heard = Instant::now(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break true,
            }
            if let Err(why) = self.understand(number) {
                log::error!("worker process {number}: {why}; it is killed");
                return self.bury(number, true);
            }
        };
        if ended {
            self.bury(number, false);
        }
    }

    /// Does what the frames ask for that have come.
    fn understand(&mut self, number: usize) -> Result<(), ServeError> {
        loop {
            let Some(process) = &mut self.places[number].process else { return Ok(()) };
            match process.stage {
                Stage::Greeted => match process.inbox.next()? {
                    None => return Ok(()),
                    Some(Welcome::Same) => process.stage = Stage::Welcomed,
                    Some(Welcome::Refused(why)) => return self.refused(why),
                },
                Stage::Welcomed => match process.inbox.next()? {
                    None => return Ok(()),
                    Some(Up::Ready) => {
                        process.stage = Stage::Ready;
                        self.server.open(number, self.plan.seats);
                    }
                    Some(Up::Refused(why)) => return self.refused(why),
                    Some(Up::Unable(why)) => {
                        let place = &mut self.places[number];
                        place.started = place.started.saturating_sub(1);
                        if self.phase == Phase::Going {
                            self.do_without(number, &why);
                        }
                    }
                    Some(_) => {
                        return Err(ServeError::Protocol("it works before it is ready".into()));
                    }
                },
                Stage::Ready => match process.inbox.next()? {
                    None => return Ok(()),
                    Some(up) => match self.server.handle(number, up) {
                        Err(ServeError::Broker(error)) => {
                            self.fail(Failed::Workers(error.to_string()));
                        }
                        other => other?,
                    },
                },
            }
        }
    }

    fn refused(&mut self, why: String) -> Result<(), ServeError> {
        self.fail(Failed::Workers(format!("a worker process refuses to work: {why}")));
        Ok(())
    }

    /// A worker has ended, or must, because of what it said.
    fn bury(&mut self, number: usize, must: bool) {
        let Some(process) = self.places[number].process.take() else { return };
        let (stage, pid, killed) = (process.stage, process.pid(), process.killed);
        let (status, pipes) = process.end();
        let prefix = format!("[{number}] ");
        for mut pipe in pipes {
            pipe.pass_on(&prefix);
        }
        let exited = status.as_ref().is_ok_and(|status| status.code().is_some());
        let sigkill = status.as_ref().is_ok_and(|it| it.signal() == Some(libc::SIGKILL));
        let from_outside = sigkill && !must && !killed && !self.out_of_memory.has_struck();
        let how = status.map_or_else(|error| error.to_string(), how);
        let closed = self.server.close(number, &how, from_outside);
        // One that is given up already has said why it ends.
        if self.phase != Phase::Going || self.failed.is_some() || self.places[number].given_up {
            log::debug!("worker process {number} (pid {pid}) has ended: {how}");
            return;
        }
        if let Err(error) = closed {
            return self.fail(Failed::Workers(error.to_string()));
        }
        let young = stage != Stage::Ready;
        if young && (exited || killed) {
            return self.give_up(number, &how, killed);
        }
        // One that was killed while it started is like any other: that says nothing about the next.
        let when = if young { " before it said hello" } else { "" };
        log::warn!(
            "worker process {number} (pid {pid}) has died{when}: {how}; another takes its place"
        );
        let crashed = self.broker.watch(0, Duration::ZERO).map_or(0, |it| it.crashed);
        let progress = (self.server.ended(), crashed);
        self.deaths = if progress == self.progress { self.deaths + 1 } else { 1 };
        self.progress = progress;
        let most = 30.max(5 * self.plan.workers as u32);
        if self.deaths > most {
            let text = format!(
                "{} worker processes have died one after the other without finishing anything, the last \
                 one so: {how}",
                self.deaths
            );
            self.fail(Failed::Workers(text));
        }
    }

    /// A worker has ended by itself before it said hello, or never said it: the next one would, too.
    fn give_up(&mut self, number: usize, how: &str, killed: bool) {
        let mut text = format!("worker process {number} ended before it said hello: {how}");
        if killed {
            let _ = write!(text, ", after {} s", PATIENCE.as_secs());
        }
        let place = &mut self.places[number];
        place.given_up = true;
        text += "; main must call prunner::worker_entry::<R>() before anything else, R being the type of \
                 the runner";
        log::warn!("{text}");
        if self.places.iter().all(Place::is_lost) {
            self.fail(Failed::Workers(text));
        }
    }

    /// What time brings: leases to be renewed, workers that say nothing, workers that do not end.
    fn look_at_the_clock(&mut self) {
        // Twice the longest wait: a thread that is ready may have to wait for a CPU.
        self.ticker.tick(&self.clock, 2 * self.plan.lease / 3);
        let now = Instant::now();
        if now - self.renewed >= self.plan.lease / 3 {
            self.renewed = now;
            self.outside.renew();
        }
        for number in 0..self.places.len() {
            let holds = self.server.holds_leases(number);
            let Some(process) = &mut self.places[number].process else { continue };
            let silent = now - process.heard;
            let late = process.stage != Stage::Ready && now - process.started > PATIENCE;
            let stuck = process.stage == Stage::Ready && holds && silent > 2 * self.plan.lease;
            let lingers = matches!(self.phase, Phase::Over(since) if now - since > GRACE);
            if !process.killed && (late || stuck || lingers) {
                if stuck {
                    let seconds = silent.as_secs_f64();
                    log::warn!(
                        "worker process {number} has said nothing for {seconds:.1} s: it is killed"
                    );
                }
                process.kill();
            }
        }
    }

    /// Serves those who wait, tells what has changed, sends.
    fn serve(&mut self) {
        let expected = self.places.iter().filter(|place| place.is_expected()).count();
        self.server.set_reserve(expected * usize::from(self.plan.seats));
        let done = match self.server.pump() {
            Ok(done) => done,
            Err(error) => {
                self.fail(Failed::Workers(error.to_string()));
                false
            }
        };
        let broken = self.server.take_broken().or_else(|| self.outside.take_broken());
        if let Some(why) = broken {
            self.fail(Failed::Dict(why));
        }
        if self.phase == Phase::Going && done {
            self.phase = Phase::Over(Instant::now());
            self.server.finish();
        } else if self.phase == Phase::Going && !self.stop.is_going() {
            self.phase = Phase::Draining;
            self.server.drain();
        }
        if self.phase != Phase::Going {
            self.dismiss_the_unready();
        }
        self.early = self.outside.set_hungry(self.server.is_hungry());
        for number in 0..self.places.len() {
            let (Some(process), Some(out)) =
                (&mut self.places[number].process, self.server.outbox(number))
            else {
                continue;
            };
            // If it is gone, its end of the socket says so next time.
            let _ = process.send(out);
        }
        for number in 0..self.places.len() {
            let greeted =
                self.places[number].process.as_mut().filter(|it| it.stage != Stage::Ready);
            if let Some(process) = greeted {
                let _ = process.send(&mut Vec::new());
            }
        }
    }

    /// Workers that are only just starting are not needed any more.
    fn dismiss_the_unready(&mut self) {
        for place in &mut self.places {
            if let Some(process) = &mut place.process
                && process.stage != Stage::Ready
                && !process.killed
            {
                process.kill();
            }
        }
    }
}

impl Place {
    fn is_starting(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.stage != Stage::Ready)
    }

    /// Whether it has no worker and gets none.
    fn is_lost(&self) -> bool {
        self.given_up && self.process.is_none()
    }

    /// Whether its worker is starting, or could be started.
    fn is_expected(&self) -> bool {
        self.is_starting() || (self.process.is_none() && !self.given_up)
    }
}

/// How a process has ended: its exit code, or the signal by name.
fn how(status: ExitStatus) -> String {
    let name = match status.signal() {
        Some(libc::SIGABRT) => "SIGABRT: it aborted, or ran out of memory",
        Some(libc::SIGKILL) => "SIGKILL: somebody killed it, perhaps the kernel for want of memory",
        Some(libc::SIGSEGV) => "SIGSEGV: a bad memory access, or the stack overflowed",
        Some(libc::SIGXCPU) => "SIGXCPU: it used more CPU time than it may",
        _ => return status.to_string(),
    };
    name.to_string()
}
