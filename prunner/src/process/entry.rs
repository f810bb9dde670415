//! The worker's side: how a process finds out that it is a worker, and what it does then.

use std::{
    any::type_name,
    env,
    fs::File,
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    process, str,
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    WORKER,
    build::Build,
    group, name_of,
    wire::{Greeting, Hello, Inbox, MAGIC, PROTOCOL, ToParent, ToWorker, Welcome, write_frame},
};
use crate::{
    broker::{self, Batch, Commit, Release, Token},
    codec,
    dict::SharedDict,
    engine::{
        lease::{Keeper, Link, Overdue, Packer, Room, Seat, Slot, SlotDict},
        stop::Phase,
    },
    failure::PanicWatch,
    handler::ParallelTaskRunner,
    message_loop::registry,
    settings::Limits,
};

/// What a process that was started as a worker knows before its runner is found.
struct Claimed {
    socket: UnixStream,
    inbox: Inbox,
    hello: Hello,
}

/// The worker that this process is to become, until a `worker_entry` of the right type comes.
static CLAIMED: Mutex<Option<Claimed>> = Mutex::new(None);

/// Why this process is not a worker, or not yet.
#[derive(Debug)]
pub(crate) enum NotAWorker {
    /// It was not started as one.
    Program,
    /// It was, and `main` has not called `worker_entry` for its runner.
    Unclaimed(String),
}

/// Whether this process was started as a worker and is not one yet.
pub(crate) fn unclaimed() -> NotAWorker {
    if let Some(claimed) = &*CLAIMED.lock() {
        return NotAWorker::Unclaimed(claimed.hello.runner_type.clone());
    }
    match socket() {
        Some(_) => NotAWorker::Unclaimed("R".into()),
        None => NotAWorker::Program,
    }
}

/// The socket with which this process was started as a worker, if it was.
fn socket() -> Option<UnixStream> {
    let name = env::var_os(WORKER)?;
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let is_it = name_of(&stdin).is_ok_and(|stdin| name == *stdin);
    is_it.then(|| UnixStream::from(OwnedFd::from(stdin)))
}

/// Becomes a worker if this process was started as one for a runner of this type.
pub(crate) fn enter<R>()
where
    R: ParallelTaskRunner + Serialize + DeserializeOwned + 'static,
    R::Task: Serialize + DeserializeOwned + 'static,
{
    let mut claimed = CLAIMED.lock();
    if claimed.is_none() {
        let Some(socket) = socket() else { return };
        match claim(socket) {
            Ok(new) => *claimed = Some(new),
            // The parent is gone, or has said something that no parent says. Whatever `main` does next is
            // not for this process to do.
            Err(error) => leave(&format!("a worker process cannot begin: {error}")),
        }
    }
    match claimed.take() {
        Some(mine) if mine.hello.runner_type == type_name::<R>() => {
            drop(claimed);
            match work::<R>(mine) {
                Ok(()) => process::exit(0),
                Err(error) => leave(&format!("a worker process cannot begin: {error}")),
            }
        }
        other => *claimed = other,
    }
}

fn leave(why: &str) -> ! {
    // In one piece: others may say the same at this moment.
    let _ = io::stderr().write_all(format!("{why}\n").as_bytes());
    process::exit(1);
}

/// Takes the socket and hears what there is to know.
fn claim(socket: UnixStream) -> io::Result<Claimed> {
    // Handlers, and programs that they start, shall not read the conversation.
    let null = File::open("/dev/null")?;
    // SAFETY: dup2 takes two descriptors, both of them open.
    if unsafe { libc::dup2(null.as_raw_fd(), libc::STDIN_FILENO) } < 0 {
        return Err(io::Error::last_os_error());
    }
    group::die_with_the_parent()?;
    group::survive_interrupts()?;
    let mut inbox = Inbox::default();
    let greeting: Greeting = expect(&socket, &mut inbox)?;
    let build = Build::of_this_process()?.to_string();
    if let Some(why) = refusal(&greeting, &build) {
        send(&socket, &Welcome::Refused(why.clone()))?;
        return Err(io::Error::other(why));
    }
    send(&socket, &Welcome::Same)?;
    let hello = expect(&socket, &mut inbox)?;
    Ok(Claimed { socket, inbox, hello })
}

/// Why the two programs cannot work together, if they cannot.
fn refusal(greeting: &Greeting, build: &str) -> Option<String> {
    let Greeting { magic, protocol, build: theirs } = greeting;
    if *magic != MAGIC {
        return Some("this is not a prunner program that started it".into());
    }
    if *protocol != PROTOCOL {
        let text = "the two programs speak different versions of the protocol";
        return Some(format!("{text}: {theirs} speaks {protocol}, {build} speaks {PROTOCOL}"));
    }
    (theirs != build).then(|| {
        format!(
            "the worker is another build than the program that started it: {build}, not {theirs}; \
             start the program again"
        )
    })
}

fn send(mut socket: &UnixStream, frame: &impl Serialize) -> io::Result<()> {
    let mut out = Vec::new();
    write_frame(frame, &mut out)?;
    socket.write_all(&out)
}

fn expect<T: DeserializeOwned>(mut socket: &UnixStream, inbox: &mut Inbox) -> io::Result<T> {
    loop {
        if let Some(frame) = inbox.next()? {
            return Ok(frame);
        }
        match inbox.read_from(&mut socket) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "its parent is gone")),
            Ok(_) => {}
            // By a signal whose handler the program has installed before it came here.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Works until the run is over.
fn work<R>(claimed: Claimed) -> io::Result<()>
where
    R: ParallelTaskRunner + Serialize + DeserializeOwned + 'static,
    R::Task: Serialize + DeserializeOwned + 'static,
{
    let Claimed { socket, inbox, hello } = claimed;
    let runner = match get_ready::<R>(&hello) {
        Ok(runner) => runner,
        Err(why) => {
            send(&socket, &ToParent::Refused(why.clone()))?;
            return Err(io::Error::other(why));
        }
    };
    // Found out while there is a single thread: later it takes longer.
    let _ = crate::sync::Barrier::detect();

    let link = Arc::new(SocketLink::new(socket.try_clone()?));
    let slots = slots(&hello, &link);
    let room = Arc::new(Room::default());
    let keeper = Keeper::new(
        slots.clone(),
        Arc::<SocketLink>::clone(&link),
        packer(slots.clone(), Arc::clone(&link)),
        Arc::clone(&room),
        &hello.terms,
    );
    let parent = socket.try_clone()?;
    if let Err(error) = start_keeper(keeper, socket, inbox, Arc::clone(&link)) {
        let why = format!("it cannot start a thread: {error}");
        send(&parent, &ToParent::Unable(why.clone()))?;
        return Err(io::Error::other(why));
    }
    // Now it has all that it needs: a worker that ends before this is not started again and again.
    send(&parent, &ToParent::Ready)?;

    run_handlers(&runner, &slots, &link, &room, hello.terms.limits);
    Ok(())
}

/// Reads on a thread of its own what the parent says.
fn start_keeper(
    keeper: Keeper,
    socket: UnixStream,
    inbox: Inbox,
    link: Arc<SocketLink>,
) -> io::Result<()> {
    let keep = move || {
        let _guard = Guard { link: &link, what: "the keeper" };
        group::go_on_without_parent();
        keep(keeper, &socket, inbox, &link);
    };
    thread::Builder::new().name("prunner-keeper".into()).spawn(keep).map(drop)
}

/// Runs handlers until the run is over, the first slot's on this thread.
fn run_handlers<R>(
    runner: &R,
    slots: &[Arc<Slot>],
    link: &Arc<SocketLink>,
    room: &Room,
    limits: Limits,
) where
    R: ParallelTaskRunner,
    R::Task: Serialize + DeserializeOwned + 'static,
{
    let before_lease = &move || renew_limits(limits);
    let seat = |slot: Arc<Slot>| {
        let link = Arc::clone(link);
        move || {
            let _guard = Guard { link: &link, what: "a worker" };
            Seat::sit_down(runner, slot, Arc::<SocketLink>::clone(&link), room, before_lease)
                .work();
        }
    };
    thread::scope(|scope| {
        let mut slots = slots.iter().map(Arc::clone);
        let mine = slots.next();
        for slot in slots {
            let name = format!("prunner-{}", slot.worker());
            if let Err(error) = thread::Builder::new().name(name).spawn_scoped(scope, seat(slot)) {
                let _ =
                    writeln!(io::stderr(), "a worker process goes on with fewer threads: {error}");
            }
        }
        if let Some(slot) = mine {
            seat(slot)();
        }
    });
}

/// A slot for each thread that runs handlers.
fn slots(hello: &Hello, link: &Arc<SocketLink>) -> Vec<Arc<Slot>> {
    let Hello { worker, terms, .. } = hello;
    let first = *worker as usize * usize::from(terms.seats);
    let slot = |seat: u16| {
        let slot = Arc::new(Slot::new(seat, first + usize::from(seat), terms));
        let home = SlotDict::new(&slot, Arc::<SocketLink>::clone(link));
        slot.set_dict(SharedDict::at(Arc::new(home)));
        slot
    };
    (0..terms.seats).map(slot).collect()
}

/// Commits for workers whose handlers run.
fn packer(slots: Vec<Arc<Slot>>, link: Arc<SocketLink>) -> Packer {
    Packer::new(move |calls| {
        let (slots, link) = (slots.clone(), Arc::clone(&link));
        let pack = move || {
            let _guard = Guard { link: &link, what: "the packer" };
            let _watch = PanicWatch::begin();
            calls.answer(&slots, &*link);
        };
        thread::Builder::new().name("prunner-packer".into()).spawn(pack).map(drop)
    })
}

/// Ends this process if a thread of the engine panics, so that nothing waits for it for ever: other
/// workers then take over what it had.
struct Guard<'a> {
    link: &'a SocketLink,
    what: &'static str,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.link
                .die(None, format!("{} of it has panicked, which is a bug in prunner", self.what));
        }
    }
}

fn renew_limits(limits: Limits) {
    if let Err(error) = limits.renew_cpu() {
        log::warn!("cannot limit the CPU time: {error}");
    }
}

/// Everything that can be wrong before the first task.
fn get_ready<R: DeserializeOwned>(hello: &Hello) -> Result<R, String> {
    if hello.tasks != registry::registry()?.fingerprint() {
        return Err(
            "the functions under #[task] are not those of the program that started it".into()
        );
    }
    let runner = codec::decode(&hello.runner.0)
        .map_err(|error| format!("the runner, a {}, {error}", type_name::<R>()))?;
    let limits = hello.terms.limits;
    limits.limit_memory().map_err(|error| format!("cannot limit the memory: {error}"))?;
    Ok(runner)
}

/// Reads what the parent says until it says nothing any more; then this process has no reason to be.
fn keep(mut keeper: Keeper, mut socket: &UnixStream, mut inbox: Inbox, link: &SocketLink) {
    let mut waits = None;
    loop {
        match inbox.next() {
            Ok(Some(down)) => {
                handle(&mut keeper, down, link);
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                leave(&format!("the parent of a worker process broke the protocol: {error}"))
            }
        }
        let next = match keeper.tick() {
            Ok(next) => next,
            Err(Overdue { seat, why }) => link.die(Some(seat), why),
        };
        // Rounded down to a power of two: the exact time is another one each time, and to set it is a
        // call of the kernel. In microseconds: it takes no less for a wait.
        let next = Duration::from_micros(1 << (next.as_micros() as u64).max(1).ilog2());
        if waits != Some(next) && socket.set_read_timeout(Some(next)).is_ok() {
            waits = Some(next);
        }
        match inbox.read_from(&mut socket) {
            Ok(0) => exit_now(),
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(_) => exit_now(),
        }
    }
}

/// Ends this process because its parent is gone, and what its handlers have started. They may still run, so
/// nothing is cleaned up under their feet.
fn exit_now() -> ! {
    group::kill_own()
}

fn handle(keeper: &mut Keeper, down: ToWorker, link: &SocketLink) {
    match down {
        ToWorker::Leased { seat, leases } => keeper.leased(seat, leases),
        ToWorker::Committed { seat, token } => keeper.committed(seat, token),
        ToWorker::Lost { seat, token } => keeper.lost(seat, token),
        ToWorker::Conflict { seat, token, conflict } => keeper.conflict(seat, token, conflict),
        ToWorker::Lock { seat, lock } => keeper.locked(seat, lock),
        ToWorker::Read { seat, read } => keeper.read(seat, read),
        ToWorker::Gone(tokens) => keeper.gone(&tokens),
        ToWorker::Wanted { tasks, lock } => keeper.wanted(tasks, lock),
        ToWorker::Drain => keeper.enter(Phase::Draining),
        ToWorker::Done => keeper.enter(Phase::Done),
        ToWorker::Dump => link.send(&ToParent::State(keeper.describe())),
    }
}

/// The way to the parent.
struct SocketLink(Mutex<Wire>);

struct Wire {
    socket: UnixStream,
    out: Vec<u8>,
}

/// A commit's posts are sent in frames of about this size.
const POSTS_FRAME: usize = 1 << 20;

impl SocketLink {
    fn new(socket: UnixStream) -> Self {
        Self(Mutex::new(Wire { socket, out: Vec::new() }))
    }

    fn send(&self, up: &ToParent) {
        let mut wire = self.0.lock();
        wire.put(up);
        wire.flush();
    }

    /// Ends this process, having said why. Handlers may still run, so nothing is cleaned up under their
    /// feet.
    fn die(&self, seat: Option<u16>, why: String) -> ! {
        self.0.lock().die(seat, why)
    }
}

impl Wire {
    fn put(&mut self, up: &ToParent) {
        if let Err(error) = write_frame(up, &mut self.out) {
            // A worker that cannot say what it has done must not go on as if it had.
            self.die(None, format!("it cannot commit: {error}"));
        }
    }

    fn die(&mut self, seat: Option<u16>, why: String) -> ! {
        let dying = ToParent::Dying { seat, why };
        if write_frame(&dying, &mut self.out).is_ok() {
            self.flush();
        }
        exit_now()
    }

    fn flush(&mut self) {
        // If the parent is gone the keeper reads so, and ends this process.
        let _ = self.socket.write_all(&self.out);
        self.out.clear();
        self.out.shrink_to(2 * POSTS_FRAME);
    }

    /// Sends writes of a commit ahead of it while they are large, and returns those. The rest go with it.
    fn send_writes(&mut self, seat: u16, writes: &mut Vec<broker::Write>) -> Vec<broker::Write> {
        let size =
            |write: &broker::Write| write.value.as_ref().map_or(0, |value| value.bytes.0.len());
        let mut left: usize = writes.iter().map(size).sum();
        let mut sent = Vec::new();
        while left > POSTS_FRAME
            && let Some(write) = writes.pop()
        {
            left -= size(&write);
            let up = ToParent::Writes { seat, writes: vec![write] };
            self.put(&up);
            self.flush();
            if let ToParent::Writes { writes, .. } = up {
                sent.extend(writes);
            }
        }
        sent
    }

    /// Sends the posts of a commit ahead of it, and returns them.
    fn send_posts(&mut self, seat: u16, posts: Vec<Batch>) -> Vec<Batch> {
        let mut kept = Vec::with_capacity(posts.len());
        let mut posts = posts.into_iter().peekable();
        while posts.peek().is_some() {
            let mut size = 0;
            let mut batches = Vec::new();
            while let Some(batch) = posts.next_if(|_| size < POSTS_FRAME) {
                size += batch.tasks.size();
                batches.push(batch);
            }
            let up = ToParent::Posts { seat, batches };
            self.put(&up);
            if self.out.len() > POSTS_FRAME {
                self.flush();
            }
            if let ToParent::Posts { batches, .. } = up {
                kept.extend(batches);
            }
        }
        kept
    }
}

impl Link for SocketLink {
    fn want(&self, seat: u16, want: Vec<Token>) {
        self.send(&ToParent::Step { seat, commit: None, want });
    }

    fn commit(&self, seat: u16, mut commit: Commit, want: Vec<Token>) -> Commit {
        let mut wire = self.0.lock();
        let posts = wire.send_posts(seat, std::mem::take(&mut commit.posts));
        let mut writes = wire.send_writes(seat, &mut commit.writes);
        let up = ToParent::Step { seat, commit: Some(commit), want };
        wire.put(&up);
        wire.flush();
        match up {
            ToParent::Step { commit: Some(mut commit), .. } => {
                writes.append(&mut commit.writes);
                Commit { posts, writes, ..commit }
            }
            _ => unreachable!("it was made above"),
        }
    }

    fn lock(&self, seat: u16, token: Token) {
        self.send(&ToParent::Lock { seat, token });
    }

    fn read(&self, seat: u16, token: Token, key: &str, known: u64) {
        self.send(&ToParent::Read { seat, token, key: key.to_string(), known });
    }

    fn release(&self, seat: u16, token: Token, why: Release) {
        self.send(&ToParent::Release { seat, token, why });
    }

    fn renew(&self, tokens: Vec<Token>) {
        self.send(&ToParent::Renew(tokens));
    }

    fn suspect(&self, token: Token, label: &str, data: Option<String>) {
        self.send(&ToParent::Suspect { token, label: label.to_string(), data });
    }

    fn broken(&self, why: String) {
        self.send(&ToParent::Broken(why));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{codec::Bytes, settings::Settings};

    fn hello(tasks: u64) -> Hello {
        Hello {
            runner_type: type_name::<u64>().into(),
            runner: Bytes(codec::to_bytes(&7_u64).expect("it can be written")),
            tasks,
            worker: 0,
            terms: Settings::of_a_test(Duration::from_secs(1)).terms(),
        }
    }

    /// A task is found by its number, which another list of functions gives to another function.
    #[test]
    fn a_parent_with_other_functions_is_refused() {
        let mine = registry::registry().expect("all names differ").fingerprint();
        assert_eq!(get_ready(&hello(mine)), Ok(7_u64));
        let why = get_ready::<u64>(&hello(mine ^ 1)).expect_err("others are registered there");
        assert!(why.contains("under #[task] are not those of the program"), "{why}");
    }
}
