//! `payload`: `begin` posts tasks of 1 KiB. What `begin` posts is leased, so each of them travels
//! through the parent.

use prunner::{Bytes, Context, Labeled, ParallelTaskRunner, Sum, TaskResult};
use serde::{Deserialize, Serialize};

use super::SUM;

/// Bytes of a task.
pub(crate) const SIZE: usize = 1024;

#[derive(Labeled, Serialize, Deserialize)]
pub(crate) struct Parcel(Bytes);

#[derive(Serialize, Deserialize)]
pub(crate) struct Payload {
    tasks: u64,
}

impl ParallelTaskRunner for Payload {
    type Task = Parcel;

    fn begin(&self, cx: &mut Context<'_, Parcel>) -> TaskResult {
        cx.post_all((0..self.tasks).map(|n| Parcel(Bytes(vec![n as u8; SIZE]))));
        Ok(())
    }

    fn run(&self, task: &Parcel, cx: &mut Context<'_, Parcel>) -> TaskResult {
        let Parcel(Bytes(bytes)) = task;
        // The last byte too, so that it must have come.
        cx.merge(SUM, Sum(bytes.len() as u64 + u64::from(bytes[bytes.len() - 1])));
        Ok(())
    }
}

/// Returns the sum of the lengths and of the last bytes.
pub(crate) fn run(tasks: u64, workers: usize) -> u64 {
    super::sum(&super::start(Payload { tasks }, workers, tasks))
}

pub(crate) fn expected(tasks: u64) -> u64 {
    SIZE as u64 * tasks + (0..tasks).map(|n| n % 256).sum::<u64>()
}
