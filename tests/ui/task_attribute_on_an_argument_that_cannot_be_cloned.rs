use prunner::task;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Page(String);

#[task]
fn fetch(_: Page) {}

fn main() {}
