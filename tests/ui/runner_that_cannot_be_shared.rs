use std::cell::Cell;

use prunner::{Context, Labeled, ParallelTaskRunner, TaskResult};

#[derive(Labeled)]
struct Page;

struct Crawl {
    pages: Cell<u64>,
}

impl ParallelTaskRunner for Crawl {
    type Task = Page;

    fn begin(&self, _: &mut Context<'_, Page>) -> TaskResult {
        Ok(())
    }

    fn run(&self, _: &Page, _: &mut Context<'_, Page>) -> TaskResult {
        self.pages.set(self.pages.get() + 1);
        Ok(())
    }
}

fn main() {}
