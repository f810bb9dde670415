//! How worker processes share: what waits behind a handler is given to workers that have nothing.
//!
//! # The protocol
//!
//! The parent leases batches of tasks. A worker asks for two, so that it has the next one when the first
//! is committed; what it has of a lease, and has not started, waits in its hands, and its handler may
//! take for ever. So the parent says **wanted** to those who have leases when somebody has none, once
//! until they have committed.
//!
//! Each worker has a *keeper*, a second thread that hears what the parent says and sleeps otherwise. When
//! others want tasks it gives back at once what its worker has not even taken up, and looks at the
//! handler: when that has run for long it commits in the worker's place, and posts what waits behind the
//! handler. The worker itself does so between two handlers, if the lease is old enough to be worth a
//! commit.
//!
//! A run may rest when all tasks have been started, or when every worker is in a handler that takes for
//! ever. It must not rest while a task waits in the hands of one worker and another one has nothing.
//!
//! # Hazards
//!
//! - **Wanted too early**: the word comes when the leases have come and the worker has not taken one up,
//!   or between two handlers of a lease that is young. Neither is the time to give anything, and the word
//!   does not come again. So the keeper goes on looking until the handler has run for long. See
//!   [`Variant::LooksOnce`] and [`Variant::WaitsForAHandler`].
//! - **Young again**: the keeper goes to sleep when nothing waits behind a handler that has run for long,
//!   because the worker will see to what the handler posts: its lease is then old enough. If the worker
//!   forgets that, nobody does. See [`Variant::ForgetsItsAge`].
//! - **Told before the commit**: the worker forgets the word when it commits, since what it posts is for
//!   those who want; if that was not enough, it must be told again. See [`Variant::ToldForGood`].

use super::checker::{Model, Turn};

/// Worker processes and their parent.
#[derive(Clone, Debug)]
pub struct Sharing<const WORKERS: usize> {
    /// The protocol, or one of its wrong twins.
    pub variant: Variant,
    /// How many tasks are in each batch that is queued at first.
    pub batches: &'static [u8],
    /// How often a handler may post two tasks.
    pub budget: u8,
}

/// The protocol, or what one of its wrong twins does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As it is.
    LooksAgain,
    /// Wrong: the keeper gives back what was not taken up only in the moment in which it is told.
    LooksOnce,
    /// Wrong: the keeper looks again only if a handler runs and something waits behind it.
    WaitsForAHandler,
    /// Wrong: a lease is as young as ever after a handler that has run for long.
    ForgetsItsAge,
    /// Wrong: who was told is not told again before it is leased something, whatever it commits.
    ToldForGood,
}

/// How many leases a worker has or has asked for.
const IN_FLIGHT: u8 = 2;

/// The parent, the workers, and what is on its way between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State<const WORKERS: usize> {
    /// The tasks of each batch that is queued, the newest last.
    queued: Vec<u8>,
    /// Whether the parent has heard something since it last looked at who waits.
    pump: bool,
    lines: [Line; WORKERS],
    desks: [Desk; WORKERS],
    budget: u8,
}

/// What the parent knows of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Line {
    asked: bool,
    wants: u8,
    leases: u8,
    told: bool,
    /// What it has said to the parent and the parent to it, the oldest first.
    up: Vec<Up>,
    down: Vec<Down>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Up {
    /// The posts of a commit, if there is one, and whether its lease goes on; how many leases it wants.
    Step { commit: Option<(Vec<u8>, bool)>, wants: u8 },
    /// A lease that was not started, with so many tasks.
    Release(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Down {
    /// A lease of so many tasks.
    Leased(u8),
    Committed,
    Wanted,
}

/// What a worker has in hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Desk {
    /// Whether it has a lease; how many of its tasks were not started.
    lease: bool,
    rest: u8,
    handler: Handler,
    /// Whether the lease is worth a commit.
    old: bool,
    /// Leases that were not taken up, and how many were asked for.
    stash: Vec<u8>,
    asked: u8,
    commit_under_way: bool,
    wanted: bool,
    /// Whether its keeper looks at it now, or soon; else it sleeps until the parent says something.
    looks: bool,
    /// Whether the keeper has seen this handler: when it sees it again, it has run for long.
    seen: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Handler {
    #[default]
    None,
    Short,
    /// It takes for ever.
    Long,
}

type Steps<'a, const WORKERS: usize> = Turn<'a, State<WORKERS>>;

impl Desk {
    /// Asks for what is missing.
    fn want(&mut self) -> u8 {
        let there = self.stash.len() as u8 + self.asked + u8::from(self.lease);
        let wants = IN_FLIGHT.saturating_sub(there);
        self.asked += wants;
        wants
    }

    /// Commits the lease and posts what is left of it. A handler that runs goes on under the lease.
    fn cut(&mut self) -> Up {
        let keep = self.handler != Handler::None;
        let posts = vec![1; usize::from(std::mem::take(&mut self.rest))];
        (self.lease, self.commit_under_way, self.wanted) = (keep, true, false);
        Up::Step { commit: Some((posts, keep)), wants: self.want() }
    }

    /// Gives back what was not taken up.
    fn empty_stash(&mut self) -> impl Iterator<Item = Up> {
        std::mem::take(&mut self.stash).into_iter().map(Up::Release)
    }

    /// The keeper gives what it can to those who want, and says whether it looks again.
    fn give(&mut self, variant: Variant) -> (Vec<Up>, bool) {
        let runs = self.handler != Handler::None;
        let long = runs && self.seen;
        self.seen = runs;
        self.old |= long && variant != Variant::ForgetsItsAge;
        if !self.wanted {
            return (Vec::new(), false);
        }
        if variant == Variant::LooksOnce && !(runs && self.rest > 0) {
            return (Vec::new(), false);
        }
        if !self.lease {
            return (Vec::new(), variant != Variant::WaitsForAHandler && !self.stash.is_empty());
        }
        let mut said = Vec::new();
        if variant != Variant::LooksOnce {
            said.extend(self.empty_stash());
        }
        if variant == Variant::WaitsForAHandler && !(runs && self.rest > 0) {
            return (said, false);
        }
        match long {
            false => (said, true),
            true if self.rest == 0 => (said, false),
            true if self.commit_under_way => (said, true),
            true => {
                said.push(self.cut());
                (said, false)
            }
        }
    }

    fn unstarted(&self) -> u8 {
        self.rest + self.stash.iter().sum::<u8>()
    }
}

impl Line {
    fn is_idle(&self) -> bool {
        self.leases == 0 && self.wants > 0
    }

    fn lease(&mut self, tasks: u8, variant: Variant) {
        self.wants -= 1;
        self.leases += 1;
        if variant == Variant::ToldForGood {
            self.told = false;
        }
        self.down.push(Down::Leased(tasks));
    }

    fn unstarted(&self) -> u8 {
        let up = self.up.iter().map(|up| match up {
            Up::Step { commit: Some((posts, _)), .. } => posts.iter().sum(),
            Up::Step { commit: None, .. } => 0,
            Up::Release(tasks) => *tasks,
        });
        let down = self.down.iter().map(|down| match down {
            Down::Leased(tasks) => *tasks,
            Down::Committed | Down::Wanted => 0,
        });
        up.chain(down).sum()
    }
}

impl<const WORKERS: usize> State<WORKERS> {
    fn unstarted(&self) -> u8 {
        let queued: u8 = self.queued.iter().sum();
        let lines: u8 = self.lines.iter().map(Line::unstarted).sum();
        let desks: u8 = self.desks.iter().map(Desk::unstarted).sum();
        queued + lines + desks
    }

    /// The parent does what a worker asks for.
    fn hear(&mut self, worker: usize, variant: Variant) {
        let line = &mut self.lines[worker];
        match line.up.remove(0) {
            Up::Step { commit, wants } => {
                line.asked = true;
                line.wants += wants;
                if let Some((posts, keep)) = commit {
                    self.queued.extend(posts);
                    line.leases -= u8::from(!keep);
                    if variant != Variant::ToldForGood {
                        line.told = false;
                    }
                    line.down.push(Down::Committed);
                }
            }
            Up::Release(tasks) => {
                line.leases -= 1;
                self.queued.push(tasks);
            }
        }
        self.pump = true;
    }

    /// The parent serves those who wait, and tells others that they do.
    fn serve(&mut self, variant: Variant) {
        let Self { lines, queued, .. } = self;
        for line in lines.iter_mut() {
            if line.is_idle()
                && let Some(tasks) = queued.pop()
            {
                line.lease(tasks, variant);
            }
        }
        let starting = lines.iter().filter(|line| !line.asked).count();
        let idle = lines.iter().any(Line::is_idle);
        for line in lines.iter_mut() {
            let ahead = !idle && line.wants > 0 && line.leases > 0 && queued.len() > starting;
            if ahead && let Some(tasks) = queued.pop() {
                line.lease(tasks, variant);
            }
        }
        if idle || starting > queued.len() {
            for line in lines.iter_mut().filter(|line| line.leases > 0 && !line.told) {
                line.told = true;
                line.down.push(Down::Wanted);
            }
        }
        self.pump = false;
    }
}

impl<const WORKERS: usize> Sharing<WORKERS> {
    fn parent(&self, turn: &mut Steps<'_, WORKERS>) {
        for (worker, line) in turn.state.lines.iter().enumerate() {
            if !line.up.is_empty() {
                turn.step_on("hears worker", worker, |next| next.hear(worker, self.variant));
            }
        }
        if turn.state.pump {
            turn.step("serves those who wait", |next| next.serve(self.variant));
        }
    }

    fn worker(me: usize, turn: &mut Steps<'_, WORKERS>) {
        let desk = &turn.state.desks[me];
        match (desk.lease, desk.handler) {
            (_, Handler::Long) => {}
            (_, Handler::Short) => Self::end_handler(me, turn),
            (true, Handler::None) => Self::between_handlers(me, turn),
            (false, Handler::None) => Self::take_lease(me, turn),
        }
    }

    fn take_lease(me: usize, turn: &mut Steps<'_, WORKERS>) {
        let desk = &turn.state.desks[me];
        if !desk.stash.is_empty() {
            turn.step("takes up a lease", |next| {
                let desk = &mut next.desks[me];
                desk.rest = desk.stash.remove(0);
                (desk.lease, desk.old) = (true, false);
            });
        } else if desk.asked < IN_FLIGHT {
            turn.step("asks for leases", |next| {
                let wants = next.desks[me].want();
                next.lines[me].up.push(Up::Step { commit: None, wants });
            });
        }
    }

    fn between_handlers(me: usize, turn: &mut Steps<'_, WORKERS>) {
        let desk = &turn.state.desks[me];
        if !desk.old {
            turn.step("has worked on its lease for a while", |next| next.desks[me].old = true);
        }
        if !desk.commit_under_way {
            turn.step("commits", |next| {
                let commit = next.desks[me].cut();
                next.lines[me].up.push(commit);
            });
        }
        if desk.rest > 0 && !(desk.wanted && desk.old) {
            for (verb, handler) in [
                ("starts a task", Handler::Short),
                ("starts one that takes for ever", Handler::Long),
            ] {
                turn.step(verb, |next| {
                    let desk = &mut next.desks[me];
                    desk.rest -= 1;
                    (desk.handler, desk.seen) = (handler, false);
                });
            }
        }
    }

    fn end_handler(me: usize, turn: &mut Steps<'_, WORKERS>) {
        turn.step("finishes its task", |next| next.desks[me].handler = Handler::None);
        if turn.state.budget > 0 {
            turn.step("finishes its task, which has posted two", |next| {
                next.budget -= 1;
                next.desks[me].rest += 2;
                next.desks[me].handler = Handler::None;
            });
        }
    }

    fn keeper(&self, me: usize, turn: &mut Steps<'_, WORKERS>) {
        let variant = self.variant;
        if let Some(&down) = turn.state.lines[me].down.first() {
            let verb = match down {
                Down::Leased(_) => "hears of a lease, as the keeper",
                Down::Committed => "hears of its commit, as the keeper",
                Down::Wanted => "hears that others want tasks, as the keeper",
            };
            turn.step(verb, |next| {
                next.lines[me].down.remove(0);
                let desk = &mut next.desks[me];
                match down {
                    Down::Leased(tasks) => {
                        desk.asked -= 1;
                        desk.stash.push(tasks);
                    }
                    Down::Committed => desk.commit_under_way = false,
                    Down::Wanted => {
                        desk.wanted = true;
                        if variant == Variant::LooksOnce && desk.lease {
                            next.lines[me].up.extend(desk.empty_stash());
                        }
                    }
                }
                next.desks[me].looks = true;
            });
        }
        if turn.state.desks[me].looks {
            turn.step("looks at its worker, as the keeper", |next| {
                let (said, again) = next.desks[me].give(variant);
                next.desks[me].looks = again;
                next.lines[me].up.extend(said);
            });
        }
    }
}

impl<const WORKERS: usize> Model for Sharing<WORKERS> {
    type State = State<WORKERS>;

    /// All workers are starting.
    fn initial(&self) -> State<WORKERS> {
        State {
            queued: self.batches.to_vec(),
            pump: false,
            lines: std::array::from_fn(|_| Line::default()),
            desks: std::array::from_fn(|_| Desk::default()),
            budget: self.budget,
        }
    }

    /// The workers, their keepers, and the parent.
    fn actors(&self) -> usize {
        2 * WORKERS + 1
    }

    fn turn(&self, turn: &mut Steps<'_, WORKERS>) {
        match turn.actor {
            worker if worker < WORKERS => Self::worker(worker, turn),
            keeper if keeper < 2 * WORKERS => self.keeper(keeper - WORKERS, turn),
            _ => self.parent(turn),
        }
    }

    fn violation(&self, _: &State<WORKERS>) -> Option<&'static str> {
        None
    }

    fn is_final(&self, state: &State<WORKERS>) -> bool {
        let stuck = state.desks.iter().all(|desk| desk.handler == Handler::Long);
        stuck || state.unstarted() == 0 && state.desks.iter().all(|it| it.handler != Handler::Short)
    }
}
