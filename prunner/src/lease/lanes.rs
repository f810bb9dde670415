//! Follow-ups that wait with their worker: as bytes where its keeper can reach them, as values where
//! only the worker can.

use std::{
    collections::VecDeque,
    mem::{self, needs_drop},
};

use crate::{failure::drop_quietly, task::Priority};

/// From which end of a lane the next task is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Oldest,
    Newest,
}

/// Follow-ups of one priority as bytes, in the order in which they were posted.
#[derive(Debug, Default)]
pub(super) struct ByteLane {
    /// From `head` on.
    bytes: Vec<u8>,
    head: usize,
    lengths: VecDeque<u32>,
}

/// A lane moves its bytes to the start when so many before `head` are of no use any more.
const MOST_GONE: usize = 64 << 10;

impl ByteLane {
    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    pub(super) fn push(&mut self, task: &[u8]) {
        let length = u32::try_from(task.len()).expect("a task is shorter than 4 GiB");
        self.bytes.extend_from_slice(task);
        self.lengths.push_back(length);
    }

    /// Moves a task to the end of `to`; false if there is none.
    pub(super) fn take(&mut self, end: End, to: &mut Vec<u8>) -> bool {
        match end {
            End::Newest => {
                let Some(length) = self.lengths.pop_back() else { return false };
                let start = self.bytes.len() - length as usize;
                to.extend_from_slice(&self.bytes[start..]);
                self.bytes.truncate(start);
            }
            End::Oldest => {
                let Some(length) = self.lengths.pop_front() else { return false };
                let end = self.head + length as usize;
                to.extend_from_slice(&self.bytes[self.head..end]);
                self.head = end;
            }
        }
        if self.lengths.is_empty() {
            self.bytes.clear();
            self.head = 0;
        } else if self.head > MOST_GONE && self.head > self.bytes.len() / 2 {
            self.bytes.drain(..mem::take(&mut self.head));
        }
        true
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
}

/// The same follow-ups as values. They belong to the worker alone: no code of the program, such as their
/// destructor, runs where others wait for it.
pub(super) struct Values<T> {
    lanes: [VecDeque<T>; 3],
    /// Up to which [cut](super::desk::State::cuts) they are what waits.
    cuts: u64,
    /// Those that were given away as bytes, until they are dropped.
    gone: Vec<VecDeque<T>>,
}

impl<T> Values<T> {
    pub(super) fn new() -> Self {
        Self { lanes: Default::default(), cuts: 0, gone: Vec::new() }
    }

    /// Notes that all that waited before the last of so many cuts is elsewhere now.
    pub(super) fn catch_up(&mut self, cuts: u64) {
        if mem::replace(&mut self.cuts, cuts) != cuts {
            let lanes = self.lanes.iter_mut().filter(|lane| !lane.is_empty());
            self.gone.extend(lanes.map(mem::take));
        }
    }

    pub(super) fn push(&mut self, priority: Priority, task: T) {
        self.lanes[priority as usize].push_back(task);
    }

    /// Takes the value whose bytes were taken from this end.
    pub(super) fn take(&mut self, lane: usize, end: End) -> T {
        let lane = &mut self.lanes[lane];
        let task = match end {
            End::Oldest => lane.pop_front(),
            End::Newest => lane.pop_back(),
        };
        task.expect("each follow-up that waits is there as a value, too")
    }

    /// Drops those that were given away.
    #[inline]
    pub(super) fn drop_gone(&mut self) {
        if !self.gone.is_empty() {
            match needs_drop::<T>() {
                true => self.gone.drain(..).flatten().for_each(drop_quietly),
                false => self.gone.clear(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_gives_from_both_ends_what_was_put_in() {
        let mut lane = ByteLane::default();
        let mut expected: VecDeque<Vec<u8>> = VecDeque::new();
        for round in 0..20_000_u32 {
            let task = vec![round as u8; (round % 40) as usize];
            lane.push(&task);
            expected.push_back(task);
            let end = if round % 3 == 0 { End::Oldest } else { End::Newest };
            if round % 2 == 0 {
                let mut taken = vec![1];
                assert!(lane.take(end, &mut taken));
                let mine = match end {
                    End::Oldest => expected.pop_front(),
                    End::Newest => expected.pop_back(),
                };
                assert_eq!(&taken[1..], &mine.unwrap()[..]);
            }
        }
        assert_eq!(lane.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        let mut one = Vec::new();
        for _ in 0..expected.len() {
            one.clear();
            assert!(lane.take(End::Oldest, &mut one));
        }
        assert!(!lane.take(End::Oldest, &mut one) && !lane.take(End::Newest, &mut one));
        assert!(lane.is_empty() && lane.bytes.is_empty());
    }

    #[test]
    fn values_that_were_given_away_are_dropped_when_asked_and_newer_ones_stay() {
        let mut values = Values::new();
        let old = std::rc::Rc::new(());
        values.push(Priority::Normal, old.clone());
        values.push(Priority::High, old.clone());
        values.catch_up(0);
        values.catch_up(1);
        let new = std::rc::Rc::new(());
        values.push(Priority::Normal, new.clone());
        assert_eq!(std::rc::Rc::strong_count(&old), 3);
        values.drop_gone();
        assert_eq!(std::rc::Rc::strong_count(&old), 1);
        assert!(std::rc::Rc::ptr_eq(&values.take(Priority::Normal as usize, End::Newest), &new));
    }
}
