//! Follow-ups that wait with their worker, as bytes: others can have them at any time.

use std::{collections::VecDeque, mem, ops::Range};

/// From which end of a lane the next task is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Oldest,
    Newest,
}

/// Follow-ups of one priority, in the order in which they were posted.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Those that wait are at `head..end`.
    bytes: Vec<u8>,
    head: usize,
    end: usize,
    lengths: VecDeque<u32>,
}

/// A lane moves its bytes to the start when so many before `head` are of no use any more.
const MOST_GONE: usize = 64 << 10;

/// So many bytes a lane keeps for the next tasks when it is empty.
const MOST_SPARE: usize = 1 << 20;

impl Lane {
    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Adds the task that `write` appends, unless it fails.
    #[inline]
    pub(super) fn push<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.tidy();
        write(&mut self.bytes)?;
        let length = self.bytes.len() - self.end;
        self.lengths.push_back(u32::try_from(length).expect("a task is shorter than 4 GiB"));
        self.end = self.bytes.len();
        Ok(())
    }

    /// Moves all of another lane to the end of this one.
    #[inline]
    pub(super) fn append(&mut self, other: &mut Lane) {
        if self.is_empty() {
            mem::swap(self, other);
        } else {
            self.tidy();
            self.bytes.extend_from_slice(&other.bytes[other.head..other.end]);
            self.lengths.append(&mut other.lengths);
            self.end = self.bytes.len();
        }
        other.clear();
    }

    /// Takes a task. Its bytes are at the place that is returned until more tasks are added.
    #[inline]
    pub(super) fn take(&mut self, end: End) -> Option<Range<usize>> {
        match end {
            End::Newest => {
                let length = self.lengths.pop_back()? as usize;
                self.end -= length;
                Some(self.end..self.end + length)
            }
            End::Oldest => {
                let length = self.lengths.pop_front()? as usize;
                self.head += length;
                Some(self.head - length..self.head)
            }
        }
    }

    /// The bytes of the task that was taken from `place`.
    pub(super) fn at(&self, place: Range<usize>) -> &[u8] {
        &self.bytes[place]
    }

    /// The tasks, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = self.head;
        self.lengths.iter().map(move |&length| {
            let start = at;
            at += length as usize;
            &self.bytes[start..at]
        })
    }

    /// Forgets the bytes of tasks that were taken.
    #[inline]
    fn tidy(&mut self) {
        self.bytes.truncate(self.end);
        if self.head > MOST_GONE && self.head > self.end / 2 {
            self.move_to_the_start();
        }
    }

    #[cold]
    fn move_to_the_start(&mut self) {
        self.bytes.drain(..mem::take(&mut self.head));
        self.end = self.bytes.len();
    }

    #[inline]
    fn clear(&mut self) {
        // A task may take no bytes at all.
        if self.bytes.capacity().max(4 * self.lengths.capacity()) > MOST_SPARE {
            *self = Self::default();
        }
        self.bytes.clear();
        self.lengths.clear();
        (self.head, self.end) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(lane: &mut Lane, task: &[u8]) {
        let written = lane.push(|bytes| {
            bytes.extend_from_slice(task);
            Ok::<(), ()>(())
        });
        written.expect("nothing refuses");
    }

    #[test]
    fn a_lane_gives_from_both_ends_what_was_put_in() {
        let mut lane = Lane::default();
        let mut expected: VecDeque<Vec<u8>> = VecDeque::new();
        for round in 0..20_000_u32 {
            let task = vec![round as u8; (round % 40) as usize];
            push(&mut lane, &task);
            expected.push_back(task);
            let end = if round % 3 == 0 { End::Oldest } else { End::Newest };
            if round % 2 == 0 {
                let mine = match end {
                    End::Oldest => expected.pop_front(),
                    End::Newest => expected.pop_back(),
                };
                let place = lane.take(end).expect("there are tasks");
                assert_eq!(Some(lane.at(place)), mine.as_deref());
            }
        }
        assert_eq!(lane.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        for _ in 0..expected.len() {
            assert!(lane.take(End::Oldest).is_some());
        }
        assert!(lane.is_empty() && lane.take(End::Oldest).is_none());
        assert_eq!(lane.take(End::Newest), None);
    }

    #[test]
    fn what_cannot_be_written_is_no_task() {
        let mut lane = Lane::default();
        push(&mut lane, b"before");
        assert_eq!(lane.push(|_| Err("never")), Err("never"));
        push(&mut lane, b"after");
        assert!(lane.iter().eq([&b"before"[..], b"after"]));
    }

    #[test]
    fn one_lane_goes_behind_another_however_long_it_is() {
        for mine in [0, 1, 5] {
            for others in [0, 1, 1000] {
                let (mut lane, mut other) = (Lane::default(), Lane::default());
                for (lane, tasks) in [(&mut lane, 0..mine + 2), (&mut other, 100..others + 102)] {
                    tasks.for_each(|task: u32| push(lane, &task.to_le_bytes()));
                    // One is gone from each end.
                    assert!(lane.take(End::Oldest).is_some() && lane.take(End::Newest).is_some());
                }
                lane.append(&mut other);
                let expected = (1..mine + 1).chain(101..others + 101);
                assert!(lane.iter().eq(expected.map(u32::to_le_bytes)));
                assert!(other.is_empty() && other.iter().next().is_none());
                push(&mut other, b"next");
                assert!(other.iter().eq([b"next"]));
            }
        }
    }
}
