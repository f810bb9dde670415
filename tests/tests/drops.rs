//! Every task, argument and dict value is dropped exactly once, however the run goes.

use prunner::{
    Append, Context, Dict, Error, Key, Labeled, MessageLoop, ParallelTaskRunner, Priority, Report,
    TaskResult, dict, global_lock, merge, post_task,
};
use prunner_tests::{
    census::{Census, Citizen},
    program::program,
    setting::Setting,
};

prunner_tests::watched!();

/// How a task ends.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Finishes,
    Fails,
    Panics,
}

impl Fate {
    fn meet(self) -> TaskResult {
        match self {
            Fate::Finishes => Ok(()),
            Fate::Fails => Err("fails".into()),
            Fate::Panics => panic!("panics"),
        }
    }
}

#[derive(Labeled)]
struct Person {
    citizen: Citizen,
    generation: u64,
    number: u64,
}

const GENERATIONS: u64 = 4;

/// People who post people in every way, some of whom fail after that.
struct Population {
    census: Census,
    fates: &'static [Fate],
}

impl Population {
    fn child(&self, parent: &Person, number: u64) -> Person {
        Person {
            citizen: self.census.birth(),
            generation: parent.generation + 1,
            number: parent.number * 3 + number,
        }
    }

    fn post_children(&self, parent: &Person, cx: &mut Context<'_, Person>) {
        cx.post(self.child(parent, 0));
        cx.post_with(Priority::High, self.child(parent, 1));
        if parent.number.is_multiple_of(2) {
            cx.flush();
        }
        cx.post_with(Priority::Low, self.child(parent, 2));
        cx.post_all([3, 4, 5].map(|number| self.child(parent, number)));
    }
}

impl ParallelTaskRunner for Population {
    type Task = Person;

    fn begin(&self, cx: &mut Context<'_, Person>) -> TaskResult {
        let first = Person { citizen: self.census.birth(), generation: 0, number: 0 };
        self.post_children(&first, cx);
        Ok(())
    }

    fn run(&self, person: &Person, cx: &mut Context<'_, Person>) -> TaskResult {
        if person.generation < GENERATIONS {
            self.post_children(person, cx);
        }
        drop(person.citizen.clone());
        self.fates[person.number as usize % self.fates.len()].meet()
    }
}

/// Runs a population under every setting and counts it afterwards.
#[track_caller]
fn assert_counted(fates: &'static [Fate]) {
    for setting in Setting::all(&[1, 2, 10]) {
        let census = Census::new();
        let people = Population { census: census.clone(), fates };
        let report = setting.runner(people).tolerate_dead(true).start().expect("tolerated");
        let ledger = report.ledger();
        assert_eq!(ledger.posted, ledger.finished + ledger.dead);
        drop(report);
        census.assert_all_dropped_once();
    }
}

#[test]
fn tasks_that_finish_are_dropped_once() {
    assert_counted(&[Fate::Finishes]);
}

#[test]
fn tasks_that_fail_are_dropped_once_with_their_follow_ups() {
    assert_counted(&[Fate::Finishes, Fate::Finishes, Fate::Fails, Fate::Finishes, Fate::Panics]);
}

#[test]
fn tasks_that_all_fail_are_dropped_once() {
    assert_counted(&[Fate::Fails]);
}

/// So many tasks go through the queue's wholesale path.
#[test]
fn many_tasks_posted_at_once_are_dropped_once() -> Result<(), Error> {
    for setting in Setting::all(&[2]) {
        let census = Census::new();
        let many = program(
            |cx| {
                let person = |number| Person { citizen: census.birth(), generation: 0, number };
                cx.post(person(0));
                Ok(())
            },
            |person: &Person, cx| {
                let child = |number| Person { citizen: census.birth(), generation: 1, number };
                if person.generation == 0 {
                    cx.post_all((0..20_000).map(child));
                }
                Ok(())
            },
        );
        setting.runner(many).start()?;
        assert_eq!(census.born(), 20_001);
        census.assert_all_dropped_once();
    }
    Ok(())
}

#[test]
fn tasks_that_a_failed_begin_leaves_are_dropped_once() {
    for setting in Setting::all(&[1, 3]) {
        for fate in [Fate::Fails, Fate::Panics] {
            let census = Census::new();
            let broken = program(
                |cx| {
                    for number in 0..100 {
                        let citizen = census.birth();
                        cx.post(Person { citizen, generation: 0, number });
                    }
                    fate.meet()
                },
                |_: &Person, _| Ok(()),
            );
            let error = setting.runner(broken).start().expect_err("begin fails");
            assert!(error.is_begin());
            census.assert_all_dropped_once();
        }
    }
}

/// Ctrl-C comes while endless work goes on. It is the only test of this process that takes SIGINT.
#[test]
fn tasks_that_an_interrupt_leaves_are_dropped_once() {
    for setting in Setting::all(&[1, 3]) {
        let census = Census::new();
        let endless = program(
            |cx| {
                let citizen = census.birth();
                cx.post(Person { citizen, generation: 0, number: 0 });
                Ok(())
            },
            |person: &Person, cx| {
                let next = |generation, number| Person {
                    citizen: person.citizen.clone(),
                    generation,
                    number,
                };
                match (person.generation, person.number) {
                    (0, 10) => interrupt(),
                    (0, _) => cx.post(next(1, 0)),
                    _ => return Ok(()),
                }
                cx.post(next(0, person.number + 1));
                cx.post_with(Priority::Low, next(2, 0));
                Ok(())
            },
        );
        let error = setting.runner(endless).ctrlc(true).start().expect_err("it is interrupted");
        assert!(error.is_interrupted());
        let ledger = error.report().map(Report::ledger).expect("there was a run");
        assert_eq!(ledger.posted, ledger.finished + ledger.left);
        assert!(ledger.left >= 1);
        census.assert_all_dropped_once();
    }
}

fn interrupt() {
    // SAFETY: the run listens for SIGINT, so there is a handler.
    assert_eq!(unsafe { libc::raise(libc::SIGINT) }, 0);
}

const ONE: Key<Citizen> = Key::new("one");
const MANY: Key<Append<Citizen>> = Key::new("many");
const FAILED_ONLY: Key<Append<Citizen>> = Key::new("failed only");

/// Changes the dict in every way.
fn change(census: &Census, number: u64, cx: &mut Context<'_, Person>) {
    cx.merge(MANY, Append::one(census.birth()));
    cx.merge(MANY, Append::one(census.birth()));
    let mut lock = cx.lock();
    match number % 5 {
        0 => drop(lock.insert(ONE, census.birth())),
        1 => drop(lock.remove(ONE)),
        2 => *lock.entry(ONE).or_insert(census.birth()) = census.birth(),
        3 => drop(lock.get(ONE)),
        _ => drop(lock.remove(MANY)),
    }
}

fn run_with_dict(setting: Setting, census: &Census) -> Dict {
    let changes = program(
        |cx| {
            for number in 0..300 {
                cx.post(Person { citizen: census.birth(), generation: 0, number });
            }
            Ok(())
        },
        |person: &Person, cx| {
            change(census, person.number, cx);
            let fate = [Fate::Finishes, Fate::Fails, Fate::Panics][person.number as usize % 3];
            if !matches!(fate, Fate::Finishes) {
                cx.merge(FAILED_ONLY, Append::one(census.birth()));
            }
            fate.meet()
        },
    );
    let report = setting.runner(changes).tolerate_dead(true).start().expect("tolerated");
    assert_eq!(report.ledger().dead, 200);
    report.into_dict()
}

#[test]
fn values_of_the_dict_are_dropped_once() {
    for setting in Setting::all(&[1, 2, 10]) {
        let census = Census::new();
        let mut dict = run_with_dict(setting, &census);
        dict.entry(MANY).or_default().0.push(census.birth());
        assert!(!dict.contains(FAILED_ONLY));
        drop(dict.remove(MANY));
        drop(dict);
        census.assert_all_dropped_once();
    }
}

/// Posts calls whose captures and arguments lie in the payload or in a box.
fn post_calls(census: &Census, depth: u64) {
    let small = |citizen: Citizen| drop(citizen);
    let large = |citizen: Citizen, _: [u64; 8]| drop(citizen);
    post_task(small, census.birth());
    post_task(large, (census.birth(), [1; 8]));
    let captured = census.birth();
    post_task(move || drop(captured.clone()), ());
    let (captured, padding) = (census.birth(), [1; 8]);
    post_task(move |_: Citizen| drop((captured.clone(), padding)), census.birth());
    let inherited = census.clone();
    post_task(move |depth| handle(&inherited, depth), depth);
}

/// Posts, merges and locks, and fails at some depths after that.
fn handle(census: &Census, depth: u64) -> TaskResult {
    merge(MANY, Append::one(census.birth()));
    global_lock().insert(ONE, census.birth());
    drop(dict().get(ONE));
    if depth > 0 {
        post_calls(census, depth - 1);
        post_calls(census, depth - 1);
    }
    let citizen = census.birth();
    post_task(move |_: Citizen| Fate::Fails.meet(), citizen);
    [Fate::Finishes, Fate::Finishes, Fate::Fails, Fate::Panics][depth as usize % 4].meet()
}

#[test]
fn arguments_and_captures_of_calls_are_dropped_once() {
    for setting in Setting::all(&[1, 2, 10]) {
        let census = Census::new();
        let begin_census = census.clone();
        let begin = move || (3..8).for_each(|depth| post_calls(&begin_census, depth));
        let program = MessageLoop::new(begin, || drop(dict().get(ONE)));
        let report = setting.runner(program).tolerate_dead(true).start().expect("tolerated");
        assert!(report.ledger().dead > 0);
        drop(report);
        census.assert_all_dropped_once();
    }
}
