use std::borrow::Cow;

use prunner::task;

#[task]
fn text(_: &str) {}

#[task]
fn slice(_: u64, _: Option<&[u8]>) {}

#[task]
fn lifetime<'a>(_: Cow<'a, str>) {}

#[task]
fn changed(_: &mut Vec<u64>) {}

fn main() {}
