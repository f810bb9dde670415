//! The thread that starts worker processes, serves them, and sees to it that none is left.

use std::{
    fmt::Write as _,
    io::ErrorKind,
    os::fd::AsFd,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    child::{Stage, WorkerProcess},
    clock::{HeardClock, Ticker},
    death::{Death, Kill},
    dispatcher::{Dispatcher, ServeError},
    dump::{self, Dumps},
    fuse::Fuse,
    oom::OutOfMemory,
    place::Place,
    poll::{Poll, Woken},
    poster::Poster,
    suspects::Killer,
    wire::{ToParent, Welcome},
};
use crate::{
    broker::{Broker, Clock},
    engine::stop::Stop,
    settings::Settings,
};

/// How workers are started.
pub(super) struct Plan {
    pub(super) settings: Settings,
    /// The greeting and what follows it, for worker `n`.
    pub(super) first_words: Box<dyn Fn(usize) -> Vec<u8> + Send>,
}

/// What the supervisor returns when no worker is left.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Why the run could not go on, if it could not.
    pub(super) failed: Option<Failed>,
    /// How many workers were started, not counting those that took the place of others.
    pub(super) started: usize,
    /// Tasks that have lost workers.
    pub(super) killers: Vec<Killer>,
}

#[derive(Debug)]
pub(super) enum Failed {
    /// The dict cannot be made whole.
    Dict(String),
    /// There are no workers to be had.
    Workers(String),
}

impl Failed {
    fn why(&self) -> &str {
        match self {
            Self::Dict(why) | Self::Workers(why) => why,
        }
    }
}

/// How long a worker takes to end when there is nothing left to do, and how long running handlers get when
/// the run has failed.
const GRACE: Duration = Duration::from_secs(1);

/// The longest wait while workers are starting.
const START_WAIT: Duration = Duration::from_millis(500);

/// How often it is asked whether a worker has ended where the kernel does not say so by itself.
const ASK_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Supervisor {
    plan: Plan,
    broker: Arc<dyn Broker>,
    dispatcher: Dispatcher,
    poster: Arc<Poster>,
    stop: Arc<Stop>,
    woken: Woken,
    /// The time of leases.
    clock: Arc<HeardClock>,
    ticker: Ticker,
    /// The time of workers that start.
    start_clock: HeardClock,
    start_ticker: Ticker,
    out_of_memory: OutOfMemory,
    places: Vec<Place>,
    fuse: Fuse,
    failed: Option<Failed>,
    /// What a worker lacked that could not be started, and whether one alone was tried since.
    missing: Option<String>,
    tried_alone: bool,
    course: Course,
    renewed: Instant,
    /// Whether `begin` has posts that it is too early to publish.
    early: bool,
    /// When its state is to be printed, if that is switched on.
    dumps: Option<Dumps>,
    /// Whether Ctrl-C was passed on to what handlers have started.
    interrupted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Going,
    Draining,
    /// The run has failed; since when. Running handlers get a grace.
    Failed(Instant),
    /// There is nothing left to do; since when.
    Over(Instant),
}

impl Supervisor {
    pub(super) fn new(
        plan: Plan,
        broker: Arc<dyn Broker>,
        poster: Arc<Poster>,
        stop: Arc<Stop>,
        woken: Woken,
        clock: Arc<HeardClock>,
    ) -> Self {
        let places = (0..plan.settings.engine.workers()).map(|_| Place::default()).collect();
        let fuse = Fuse::new(plan.settings.max_deaths());
        let mut dispatcher = Dispatcher::new(Arc::clone(&broker), plan.settings.lease);
        dispatcher.log_failures(Arc::clone(poster.log()));
        Self {
            plan,
            broker,
            dispatcher,
            poster,
            stop,
            woken,
            clock,
            ticker: Ticker::new(),
            start_clock: HeardClock::default(),
            start_ticker: Ticker::new(),
            out_of_memory: OutOfMemory::new(),
            places,
            fuse,
            failed: None,
            missing: None,
            tried_alone: false,
            course: Course::Going,
            renewed: Instant::now(),
            early: false,
            dumps: Dumps::from_environment(),
            interrupted: false,
        }
    }

    /// Works until the run is over and no worker is left.
    pub(super) fn run(mut self) -> Ended {
        let mut poll = Poll::default();
        while !self.is_over() {
            self.start_workers();
            self.poll(&mut poll);
            self.look_at_the_clock();
            self.dump_if_due();
            self.serve();
        }
        let started = self.places.iter().filter(|place| place.started > 0).count();
        Ended { failed: self.failed, started, killers: self.dispatcher.into_killers() }
    }

    fn is_over(&self) -> bool {
        self.course != Course::Going && self.places.iter().all(|place| place.process.is_none())
    }

    /// The run cannot go on: `begin` does not wait any more, and workers are killed after a grace.
    fn fail(&mut self, failed: Failed) {
        self.poster.fail(failed.why());
        self.failed.get_or_insert(failed);
        self.stop.drain();
        if !matches!(self.course, Course::Failed(_)) {
            self.course = Course::Failed(Instant::now());
            self.dispatcher.drain();
        }
    }

    /// Starts as many workers as there is work for.
    fn start_workers(&mut self) {
        if self.course != Course::Going {
            return;
        }
        let queued = self.broker.watch(0, Duration::ZERO).map_or(0, |it| it.queued);
        let starting = self.places.iter().filter(|place| place.is_starting()).count();
        let seats = self.plan.settings.host.threads;
        let mut missing =
            queued.saturating_sub(self.dispatcher.idle_seats() + starting * seats).div_ceil(seats);
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
        let prefix_output = self.plan.settings.host.prefix_output;
        match WorkerProcess::start((self.plan.first_words)(number), prefix_output) {
            Ok(mut process) => {
                (process.started, process.heard) = (self.start_clock.now(), self.clock.now());
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
        for process in self.processes() {
            poll.add(process.socket.as_fd(), process.is_sending());
            if let Some(pidfd) = process.pidfd() {
                poll.add(pidfd, false);
            }
            for pipe in &process.pipes {
                poll.add(pipe.fd(), false);
            }
        }
        if let Err(error) = poll.wait(self.until_due()) {
            let text = format!("cannot wait for the worker processes: {error}");
            self.fail(Failed::Workers(text));
            return self.bury_all();
        }
        if poll.is_ready(0) {
            self.woken.clear();
        }
        let mut at = 1;
        let mut is_next_ready = || {
            at += 1;
            poll.is_ready(at - 1)
        };
        for number in 0..self.places.len() {
            let Some(process) = &mut self.places[number].process else { continue };
            let has_news = is_next_ready();
            let has_ended = match process.pidfd() {
                Some(_) => is_next_ready(),
                None => process.has_ended(),
            };
            let prefix = prefix(number);
            process.pipes.retain_mut(|pipe| !is_next_ready() || pipe.pass_on(&prefix));
            if has_ended {
                // What it has left behind writes no more: there is an end to what has come.
                process.kill_all();
            }
            if has_news || has_ended {
                self.listen(number);
            }
            if has_ended {
                self.bury(number);
            }
        }
    }

    /// The time until something has to be done although nothing has happened.
    fn until_due(&self) -> Duration {
        let due = match self.course {
            _ if self.early || self.dispatcher.is_in_turn() => Duration::from_millis(1),
            Course::Over(_) | Course::Failed(_) => Duration::from_millis(50),
            _ if self.places.iter().any(Place::is_starting) => START_WAIT,
            _ => Duration::MAX,
        };
        let due = due.min(self.plan.settings.lease.time / 4);
        let asks = self.processes().any(|process| process.pidfd().is_none());
        let most = match &self.dumps {
            _ if asks => ASK_AGAIN,
            Some(_) => Dumps::EVERY,
            None => return due,
        };
        due.min(most)
    }

    /// Takes in what a worker says, to the last word if it has died.
    fn listen(&mut self, number: usize) {
        let ended = loop {
            let Some(process) = &mut self.places[number].process else { return };
            match process.inbox.read_from(&mut &process.socket) {
                Ok(0) => break true,
                Ok(_) => process.heard = self.clock.now(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break true,
            }
            if let Err(why) = self.read_frames(number) {
                log::error!("worker process {number}: {why}; it is killed");
                if let Some(process) = &mut self.places[number].process {
                    process.kill(Kill::Nonsense(why.to_string()));
                }
                break true;
            }
        };
        if ended {
            self.bury(number);
        }
    }

    /// Does what the frames ask for that have come.
    fn read_frames(&mut self, number: usize) -> Result<(), ServeError> {
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
                    Some(ToParent::Ready) => {
                        process.stage = Stage::Ready;
                        self.places[number].became_ready();
                        self.dispatcher.open(number, self.plan.settings.host.seats());
                    }
                    Some(ToParent::Refused(why)) => return self.refused(why),
                    Some(ToParent::Unable(mut why)) => {
                        if let Some(bytes) = self.plan.settings.limits.memory {
                            why += &format!(" (under max_memory({bytes}))");
                        }
                        let place = &mut self.places[number];
                        place.started = place.started.saturating_sub(1);
                        if self.course == Course::Going {
                            self.do_without(number, &why);
                        }
                    }
                    Some(_) => {
                        return Err(ServeError::Protocol("it works before it is ready".into()));
                    }
                },
                Stage::Ready => match process.inbox.next()? {
                    None => return Ok(()),
                    Some(up) => match self.dispatcher.handle(number, up) {
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

    /// Kills and buries all workers, without waiting for anything else.
    fn bury_all(&mut self) {
        for number in 0..self.places.len() {
            let Some(process) = &mut self.places[number].process else { continue };
            process.kill(Kill::Over);
            self.listen(number);
            self.bury(number);
        }
    }

    /// Buries a worker that has ended, or must end.
    fn bury(&mut self, number: usize) {
        let Some(mut process) = self.places[number].process.take() else { return };
        let (stage, pid, killed) = (process.stage, process.pid(), process.killed.take());
        let (status, pipes) = process.end();
        for mut pipe in pipes {
            pipe.pass_on(&prefix(number));
        }
        let death = match &killed {
            Some(kill) => Death::by(kill),
            None => Death::of(status, &mut self.out_of_memory, &self.plan.settings.limits),
        };
        if let Err(error) = self.dispatcher.close(number, &death) {
            return self.fail(Failed::Workers(error.to_string()));
        }
        // One that is given up already has said why it ends.
        if self.course != Course::Going || self.places[number].given_up {
            log::debug!("worker process {number} (pid {pid}) has ended: {}", death.how);
            return;
        }
        if stage != Stage::Ready && self.places[number].ended_early(&death) {
            return self.give_up(number, &death);
        }
        let when = if stage == Stage::Ready { "" } else { " before it was ready" };
        log::warn!(
            "worker process {number} (pid {pid}) has died{when}: {}; another takes its place",
            death.how
        );
        self.count_death(&death.how);
    }

    /// Gives up the run if workers die and nothing else happens.
    fn count_death(&mut self, how: &str) {
        let crashed = self.broker.watch(0, Duration::ZERO).map_or(0, |it| it.crashed);
        let progress = [self.dispatcher.ended(), self.dispatcher.judged(), crashed];
        if let Err(deaths) = self.fuse.death(progress) {
            let text = format!(
                "{deaths} worker processes have died one after the other without finishing anything, the \
                 last one so: {how}; Runner::max_deaths sets how many may"
            );
            self.fail(Failed::Workers(text));
        }
    }

    /// Gives up a worker that has ended by itself before it was ready, or was not in time.
    fn give_up(&mut self, number: usize, death: &Death) {
        let text =
            format!("worker process {number} {}", death.before_ready(&self.plan.settings.limits));
        self.places[number].given_up = true;
        log::warn!("{text}");
        if self.places.iter().all(Place::is_lost) {
            self.fail(Failed::Workers(text));
        }
    }

    /// Does what is due: leases are renewed, and workers are killed that say nothing or do not end.
    fn look_at_the_clock(&mut self) {
        let lease = self.plan.settings.lease.time;
        let start_timeout = self.plan.settings.host.start_timeout;
        // More than it waits at most, and so little that one pause and the time between two renewals are
        // less than a lease.
        self.ticker.tick(&self.clock, lease / 3);
        self.start_ticker.tick(&self.start_clock, 2 * START_WAIT);
        let now = Instant::now();
        if now - self.renewed >= lease / 4 {
            self.renewed = now;
            self.poster.renew();
        }
        let is_due = match self.course {
            Course::Over(since) | Course::Failed(since) => now - since > GRACE,
            Course::Going | Course::Draining => false,
        };
        for number in 0..self.places.len() {
            let holds = self.dispatcher.holds_leases(number);
            let Some(process) = &mut self.places[number].process else { continue };
            let silent = self.clock.now().saturating_sub(process.heard);
            let starts = self.start_clock.now().saturating_sub(process.started);
            let kill = match process.stage {
                _ if is_due => Kill::Over,
                Stage::Ready if holds && silent > lease.saturating_mul(2) => Kill::Silent(silent),
                Stage::Greeted | Stage::Welcomed if starts > start_timeout => {
                    Kill::Late(start_timeout)
                }
                _ => continue,
            };
            process.kill(kill);
        }
    }

    /// Prints what the run is doing, and lets workers say what they are.
    fn dump_if_due(&mut self) {
        let ended = self.dispatcher.ended();
        if !self.dumps.as_mut().is_some_and(|dumps| dumps.is_due(ended)) {
            return;
        }
        let mut text = format!(
            "prunner: the state of the run\n{:?}, failed: {:?}, missing: {:?}, early: {}\n{:#?}\n{:#?}\n{}\n",
            self.course,
            self.failed,
            self.missing,
            self.early,
            self.poster,
            self.dispatcher,
            self.broker.describe()
        );
        let now = self.clock.now();
        for (number, place) in self.places.iter().enumerate() {
            let _ = writeln!(text, "worker process {number}: {}", place.describe(now));
        }
        dump::print(&text);
        self.dispatcher.ask_for_dumps();
    }

    /// Serves those who wait, tells what has changed, sends.
    fn serve(&mut self) {
        let expected = self.places.iter().filter(|place| place.is_expected()).count();
        self.dispatcher.set_startable(expected * self.plan.settings.host.threads);
        let done = match self.dispatcher.pump() {
            Ok(done) => done,
            Err(error) => {
                self.fail(Failed::Workers(error.to_string()));
                false
            }
        };
        let broken = self.dispatcher.take_broken().or_else(|| self.poster.take_broken());
        if let Some(why) = broken {
            self.fail(Failed::Dict(why));
        }
        if self.course == Course::Going && done {
            self.course = Course::Over(Instant::now());
            self.dispatcher.finish();
        } else if self.course == Course::Going && !self.stop.is_going() {
            self.course = Course::Draining;
            self.dispatcher.drain();
        }
        if self.course != Course::Going {
            self.dismiss_the_unready();
        }
        if self.stop.is_interrupted() && !self.interrupted {
            self.interrupted = true;
            self.processes().for_each(WorkerProcess::interrupt);
        }
        self.early = self.poster.set_has_idle(self.dispatcher.has_idle());
        self.send();
    }

    fn send(&mut self) {
        for number in 0..self.places.len() {
            let Some(process) = &mut self.places[number].process else { continue };
            // If it is gone, its end says so next time.
            let _ = match self.dispatcher.outbox(number) {
                Some(out) => process.send(out),
                None => process.send(&mut Vec::new()),
            };
        }
    }

    fn processes(&self) -> impl Iterator<Item = &WorkerProcess> {
        self.places.iter().filter_map(|place| place.process.as_ref())
    }

    /// Workers that are only just starting are not needed any more.
    fn dismiss_the_unready(&mut self) {
        for place in &mut self.places {
            if let Some(process) = &mut place.process
                && process.stage != Stage::Ready
                && process.killed.is_none()
            {
                process.kill(Kill::Over);
            }
        }
    }
}

/// What is before each line that worker `number` prints.
fn prefix(number: usize) -> String {
    format!("[{number}] ")
}
