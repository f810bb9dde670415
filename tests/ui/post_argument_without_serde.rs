use prunner::post_task;

#[derive(Clone)]
struct Page;

fn fetch(_: Page) {}

fn main() {
    post_task(fetch, Page);
}
