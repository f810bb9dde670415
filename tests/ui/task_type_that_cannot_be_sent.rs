use std::rc::Rc;

use prunner::{Context, Labeled, ParallelTaskRunner, TaskResult};

#[derive(Labeled)]
struct Page(Rc<str>);

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
