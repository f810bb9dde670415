//! Runs on worker processes that something happens to; see `tests/process_faults`.
//!
//! Arguments: the scene, where its handlers meet the test, and what else the scene wants.

use std::{
    fs::File,
    io,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use prunner::{Error, MessageLoop, Report, Runner};
use prunner_tests::{
    deeds::{Deed, Deeds, Program, SUM, Then},
    limits::{allow_no_more_processes_than, leave_memory_for, lower},
    log_lines::print_warnings,
    meeting::Invitation,
    program::program,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scene = arguments.first().expect("a scene").as_str();
    let is_worker = std::env::var_os("PRUNNER_WORKER").is_some();
    println!("main");
    match scene {
        "no entry" => {}
        "no run" if is_worker => return ExitCode::SUCCESS,
        "no run" => {}
        "slow start" if is_worker => {
            Invitation::to(&arguments[1]).meet("a worker");
            prunner::worker_entry::<Program>();
        }
        "crashes at start" if is_worker => {
            // All workers, or the one that makes the file.
            if arguments.get(2).is_none_or(|file| File::create_new(file).is_ok()) {
                std::process::abort();
            }
            prunner::worker_entry::<Program>();
        }
        "other entry" => prunner::worker_entry::<MessageLoop>(),
        "no threads" if is_worker => {
            // All workers, or the one that makes the file.
            if arguments.get(2).is_none_or(|file| File::create_new(file).is_ok()) {
                leave_memory_for(0).expect("the limit can be lowered");
            }
            prunner::worker_entry::<Program>();
        }
        _ => prunner::worker_entry::<Program>(),
    }
    print_warnings();
    let address = arguments.get(1).expect("the address of a meeting");
    let number =
        |at: usize| arguments.get(at).and_then(|it| it.parse::<u64>().ok()).expect("a number");
    let play = Scene { invitation: Invitation::to(address) };
    let report = match scene {
        "no entry" | "no run" | "other entry" => play.add(2),
        "no threads" => play.meet(2, 2),
        "meet" => play.meet(number(2) as usize, number(3)),
        "few files" => few_files(number(2)).and_then(|()| play.add(10)),
        "few files that meet" => few_files(number(2)).and_then(|()| play.meet(10, 100)),
        "few processes" => few_processes(number(2)).and_then(|()| play.add(10)),
        "print" => play.print(false),
        "print with prefix" => play.print(true),
        "start" => play.run(1, [Deed::Start("threads".into())], |it| it),
        "start at socket" => play.run(1, [Deed::StartAtSocket("threads".into())], |it| it),
        "children" => {
            let run = || Deed::Run(arguments[2].clone(), Then::Wait);
            play.run(2, [run(), run()], |it| it.ctrlc(true))
        }
        "slow start" => {
            play.run(1, [Deed::Add(1)], |it| it.start_timeout(Duration::from_millis(number(2))))
        }
        "crashes at start" => play.add(1),
        "little memory" => play.run(2, [Deed::Add(1)], |it| it.max_memory(4096)),
        "poll fails" => play.poll_fails(),
        "threads" => on_threads(),
        "rebuilt" => play.rebuilt(),
        _ => panic!("what is {scene}?"),
    };
    tell(report)
}

fn tell(report: Result<Report, Error>) -> ExitCode {
    match report {
        Ok(report) => {
            let sum = report.dict().get(SUM).unwrap_or_default().0;
            println!("well: {}; sum {sum}", report.ledger());
            println!("{} of {} workers", report.workers_started(), report.workers());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

struct Scene {
    invitation: Invitation,
}

impl Scene {
    fn run(
        &self,
        workers: usize,
        deeds: impl IntoIterator<Item = Deed>,
        set: impl FnOnce(Runner<Program>) -> Runner<Program>,
    ) -> Result<Report, Error> {
        let program = Program::of(Deeds::at(&self.invitation), deeds);
        set(Runner::new(program).workers(workers).processes()).start()
    }

    fn add(&self, workers: usize) -> Result<Report, Error> {
        self.run(workers, (0..1000).map(Deed::Add), |it| it)
    }

    /// So many tasks that each meet the test; Ctrl-C stops it.
    fn meet(&self, workers: usize, tasks: u64) -> Result<Report, Error> {
        self.run(workers, (0..tasks).map(Deed::Meet), |it| it.ctrlc(true))
    }

    fn print(&self, prefix: bool) -> Result<Report, Error> {
        self.run(2, [Deed::Print(20_000), Deed::Print(20_000)], |it| it.prefix_output(prefix))
    }

    /// While two handlers run the limit of open files becomes lower than what the run waits for.
    fn poll_fails(&self) -> Result<Report, Error> {
        let invitation = self.invitation.clone();
        let program = Program::new(Deeds::at(&self.invitation), move |cx| {
            cx.post_all([Deed::Meet(1), Deed::Meet(2)]);
            cx.flush();
            invitation.meet("begin");
            lower(libc::RLIMIT_NOFILE, 2)?;
            Ok(())
        });
        Runner::new(program).workers(2).processes().start()
    }

    /// The program is written anew after the run has begun.
    fn rebuilt(&self) -> Result<Report, Error> {
        let program = Program::new(Deeds::at(&self.invitation), |cx| {
            File::open(std::env::current_exe()?)?.set_modified(SystemTime::now())?;
            cx.post(Deed::Add(1));
            Ok(())
        });
        Runner::new(program).workers(2).processes().start()
    }
}

fn on_threads() -> Result<Report, Error> {
    let adds = program(
        |cx| {
            cx.post_all((0..10).map(Deed::Add));
            Ok(())
        },
        |deed: &Deed, cx| {
            if let Deed::Add(n) = deed {
                cx.merge(SUM, prunner::Sum(*n));
            }
            Ok(())
        },
    );
    Runner::new(adds).workers(2).start()
}

fn few_files(most: u64) -> Result<(), Error> {
    lower(libc::RLIMIT_NOFILE, most).unwrap_or_else(|error| panic!("{error}"));
    Ok(())
}

fn few_processes(most: u64) -> Result<(), Error> {
    let allowed: io::Result<()> = allow_no_more_processes_than(most);
    allowed.unwrap_or_else(|error| panic!("{error}"));
    Ok(())
}
