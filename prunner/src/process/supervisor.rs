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
    clock::{Clocks, HeardClock},
    death::{Death, Kill},
    dispatcher::{Dispatcher, ServeError},
    dump::{self, Dumps},
    place::Place,
    poll::{Poll, Woken},
    poster::Poster,
    staff::Staff,
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
    clocks: Clocks,
    staff: Staff,
    course: Course,
    failed: Option<Failed>,
    /// Whether `begin` has posts that it is too early to publish.
    early: bool,
    /// When its state is to be printed, if that is switched on.
    dumps: Option<Dumps>,
}

/// How far the run has come.
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
        let staff = Staff::new(plan.settings.engine.workers(), plan.settings.max_deaths());
        let mut dispatcher = Dispatcher::new(Arc::clone(&broker), plan.settings.lease);
        dispatcher.log_failures(Arc::clone(poster.log()));
        Self {
            plan,
            broker,
            dispatcher,
            poster,
            stop,
            woken,
            clocks: Clocks::new(clock),
            staff,
            course: Course::Going,
            failed: None,
            early: false,
            dumps: Dumps::from_environment(),
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
        let started = self.staff.count(|place| place.started > 0);
        Ended { failed: self.failed, started, killers: self.dispatcher.into_killers() }
    }

    fn is_over(&self) -> bool {
        self.course != Course::Going && self.staff.processes().next().is_none()
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
        let starting = self.staff.count(Place::is_starting);
        let seats = self.plan.settings.host.threads;
        let mut missing =
            queued.saturating_sub(self.dispatcher.idle_seats() + starting * seats).div_ceil(seats);
        for number in 0..self.staff.places.len() {
            if missing == 0 {
                break;
            }
            let place = &self.staff.places[number];
            if place.process.is_none() && !place.given_up && self.start_worker(number) {
                missing -= 1;
            }
        }
        while queued > 0 && self.failed.is_none() && self.staff.is_lost() {
            self.last_resort();
        }
    }

    /// Starts a worker; false if there is none to be had.
    fn start_worker(&mut self, number: usize) -> bool {
        let place = &mut self.staff.places[number];
        let prefix_output = self.plan.settings.host.prefix_output;
        match WorkerProcess::start((self.plan.first_words)(number), prefix_output) {
            Ok(mut process) => {
                (process.started, process.heard) =
                    (self.clocks.starts.now(), self.clocks.leases.now());
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
        self.staff.places[number].given_up = true;
        let left = self.staff.count(|place| !place.given_up);
        log::warn!(
            "cannot start worker process {number}: {why}; going on with {left} of {} workers",
            self.staff.places.len()
        );
        self.staff.missing = Some(why.to_string());
    }

    /// No worker is left, and none is to be had. When each of several has failed to get what it needs
    /// because the others had it, one alone gets it.
    fn last_resort(&mut self) {
        match self.staff.missing.take() {
            Some(_) if !self.staff.tried_alone && self.staff.places.len() > 1 => {
                self.staff.tried_alone = true;
                log::warn!("one worker process is tried again, alone");
                self.staff.places[0].given_up = false;
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
        for process in self.staff.processes() {
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
        for number in 0..self.staff.places.len() {
            let Some(process) = &mut self.staff.places[number].process else { continue };
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
            _ if self.staff.places.iter().any(Place::is_starting) => START_WAIT,
            _ => Duration::MAX,
        };
        let due = due.min(self.plan.settings.lease.time / 4);
        let asks = self.staff.processes().any(|process| process.pidfd().is_none());
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
            let Some(process) = &mut self.staff.places[number].process else { return };
            match process.inbox.read_from(&mut &process.socket) {
                Ok(0) => break true,
                Ok(_) => process.heard = self.clocks.leases.now(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break true,
            }
            if let Err(why) = self.read_frames(number) {
                log::error!("worker process {number}: {why}; it is killed");
                if let Some(process) = &mut self.staff.places[number].process {
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
            let Some(process) = &mut self.staff.places[number].process else { return Ok(()) };
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
                        self.staff.places[number].became_ready();
                        self.dispatcher.open(number, self.plan.settings.host.seats());
                    }
                    Some(ToParent::Refused(why)) => return self.refused(why),
                    Some(ToParent::Unable(mut why)) => {
                        if let Some(bytes) = self.plan.settings.limits.memory {
                            why += &format!(" (under max_memory({bytes}))");
                        }
                        let place = &mut self.staff.places[number];
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
        for number in 0..self.staff.places.len() {
            let Some(process) = &mut self.staff.places[number].process else { continue };
            process.kill(Kill::Over);
            self.listen(number);
            self.bury(number);
        }
    }

    /// Buries a worker that has ended, or must end.
    fn bury(&mut self, number: usize) {
        let Some(mut process) = self.staff.places[number].process.take() else { return };
        let (stage, pid, killed) = (process.stage, process.pid(), process.killed.take());
        let (status, pipes) = process.end();
        for mut pipe in pipes {
            pipe.pass_on(&prefix(number));
        }
        let death = match &killed {
            Some(kill) => Death::by(kill),
            None => Death::of(status, &mut self.staff.out_of_memory, &self.plan.settings.limits),
        };
        if let Err(error) = self.dispatcher.close(number, &death) {
            return self.fail(Failed::Workers(error.to_string()));
        }
        // One that is given up already has said why it ends.
        if self.course != Course::Going || self.staff.places[number].given_up {
            log::debug!("worker process {number} (pid {pid}) has ended: {}", death.how);
            return;
        }
        if stage != Stage::Ready && self.staff.places[number].ended_early(&death) {
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
        if let Err(deaths) = self.staff.fuse.death(progress) {
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
        self.staff.places[number].given_up = true;
        log::warn!("{text}");
        if self.staff.is_lost() {
            self.fail(Failed::Workers(text));
        }
    }

    /// Does what is due: leases are renewed, and workers are killed that say nothing or do not end.
    fn look_at_the_clock(&mut self) {
        let lease = self.plan.settings.lease.time;
        let start_timeout = self.plan.settings.host.start_timeout;
        // More than it waits at most, and so little that one pause and the time between two renewals are
        // less than a lease.
        self.clocks.tick(lease / 3, 2 * START_WAIT);
        let now = Instant::now();
        if self.clocks.must_renew(now, lease / 4) {
            self.poster.renew();
        }
        let is_due = match self.course {
            Course::Over(since) | Course::Failed(since) => now - since > GRACE,
            Course::Going | Course::Draining => false,
        };
        for number in 0..self.staff.places.len() {
            let holds = self.dispatcher.holds_leases(number);
            let Some(process) = &mut self.staff.places[number].process else { continue };
            let silent = self.clocks.leases.now().saturating_sub(process.heard);
            let starts = self.clocks.starts.now().saturating_sub(process.started);
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
            self.staff.missing,
            self.early,
            self.poster,
            self.dispatcher,
            self.broker.describe()
        );
        let now = self.clocks.leases.now();
        for (number, place) in self.staff.places.iter().enumerate() {
            let _ = writeln!(text, "worker process {number}: {}", place.describe(now));
        }
        dump::print(&text);
        self.dispatcher.ask_for_dumps();
    }

    /// Serves those who wait, notifies workers of what has changed, sends.
    fn serve(&mut self) {
        let expected = self.staff.count(Place::is_expected);
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
        if self.stop.is_interrupted() && !self.staff.interrupted {
            self.staff.interrupted = true;
            self.staff.processes().for_each(WorkerProcess::interrupt);
        }
        self.early = self.poster.set_has_idle(self.dispatcher.has_idle());
        self.send();
    }

    fn send(&mut self) {
        for number in 0..self.staff.places.len() {
            let Some(process) = &mut self.staff.places[number].process else { continue };
            // If it is gone, its end says so next time.
            let _ = match self.dispatcher.outbox(number) {
                Some(out) => process.send(out),
                None => process.send(&mut Vec::new()),
            };
        }
    }

    /// Workers that are only just starting are not needed any more.
    fn dismiss_the_unready(&mut self) {
        for place in &mut self.staff.places {
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
