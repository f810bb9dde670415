//! smoke
use prunner::{Context, Dict, Key, Labeled, ParallelTaskRunner, Runner, Sum, TaskResult};
const SUM: Key<Sum<u64>> = Key::new("sum");
#[derive(Labeled)]
enum Step { Init(u64), AddOne(u64), Double(u64), SumUp(u64) }
struct SumUp { numbers: u64 }
impl ParallelTaskRunner for SumUp {
    type Task = Step;
    fn begin(&self, cx: &mut Context<'_, Step>) -> TaskResult { cx.post(Step::Init(self.numbers)); Ok(()) }
    fn run(&self, task: &Step, cx: &mut Context<'_, Step>) -> TaskResult {
        match *task {
            Step::Init(n)   => cx.post_all((0..n).map(Step::AddOne)),
            Step::AddOne(n) => cx.post(Step::Double(n + 1)),
            Step::Double(n) => { cx.post(Step::SumUp(n)); cx.post(Step::SumUp(n)); }
            Step::SumUp(n)  => cx.merge(SUM, Sum(n)),
        }
        Ok(())
    }
    fn end(&self, dict: &Dict) -> TaskResult { println!("{}", dict.get(SUM).unwrap_or_default().0); Ok(()) }
}
fn main() -> Result<(), prunner::Error> {
    let a: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    for _ in 0..a[2] {
    let t = std::time::Instant::now();
    let report = Runner::new(SumUp { numbers: a[1] as u64 }).workers(a[0]).membarrier(a.len() < 4).start()?;
    println!("{:.2} ns/task", t.elapsed().as_nanos() as f64 / report.ledger().posted as f64);
    println!("{report}");
    }
    Ok(())
}
