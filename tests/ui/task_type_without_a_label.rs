use prunner::{Context, ParallelTaskRunner, TaskResult};

struct Page;

struct Crawl;

impl ParallelTaskRunner for Crawl {
    type Task = Page;

    fn begin(&self, _: &mut Context<'_, Page>) -> TaskResult {
        Ok(())
    }

    fn run(&self, _: &Page, _: &mut Context<'_, Page>) -> TaskResult {
        Ok(())
    }
}

fn main() {}
