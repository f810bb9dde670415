//! Which tasks of which labels one worker has started: all that is done for each task.

use std::collections::HashMap;

/// A countdown for each label, which is 0 when the label wants attention.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The labels that are found at once, in a place that follows from their id.
    near: Box<[Countdown; NEAR]>,
    /// Labels whose places in `near` are taken by others.
    far: HashMap<u64, Countdown>,
}

/// What is needed with every task of one label.
#[derive(Clone, Copy, Debug)]
struct Countdown {
    id: u64,
    /// Attempts until one is measured, so that one comparison decides.
    left: u64,
    /// Attempts that will have been started when `left` is 0; 0 means that this countdown is free.
    due: u64,
    row: usize,
}

impl Countdown {
    fn started(&self) -> u64 {
        self.due - self.left
    }
}

/// A task that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// The id of its label, and the row of that label where labels are counted.
    pub(crate) id: u64,
    pub(crate) row: usize,
    /// Whether it is to be measured.
    pub(crate) measure: bool,
}

const NEAR: usize = 64;
const PROBES: usize = 4;
const FREE: Countdown = Countdown { id: 0, left: 1, due: 0, row: 0 };

impl Meter {
    pub(crate) fn new() -> Self {
        Self { near: Box::new([FREE; NEAR]), far: HashMap::new() }
    }

    /// Notes that a task starts whose label has this id; `None` if the label is [new](Meter::start_first).
    #[inline(always)]
    pub(crate) fn start(&mut self, id: u64) -> Option<Start> {
        let countdown = &mut self.near[id as usize % NEAR];
        if countdown.id == id && countdown.left > 1 {
            countdown.left -= 1;
            return Some(Start { id, row: countdown.row, measure: false });
        }
        self.start_otherwise(id)
    }

    /// A task that is to be measured, or whose countdown is elsewhere, or the first of its label.
    #[cold]
    #[inline(never)]
    fn start_otherwise(&mut self, id: u64) -> Option<Start> {
        let countdown = self.countdown(id);
        if countdown.due == 0 {
            return None;
        }
        match &mut countdown.left {
            // The last one was to be measured and was not.
            0 => countdown.due += 1,
            left => *left -= 1,
        }
        Some(Start { id, row: countdown.row, measure: countdown.left == 0 })
    }

    /// Notes that the first task of a label starts, which is counted in this row.
    #[cold]
    #[inline(never)]
    pub(crate) fn start_first(&mut self, id: u64, row: usize) -> Start {
        *self.countdown(id) = Countdown { id, left: 0, due: 1, row };
        Start { id, row, measure: true }
    }

    /// The countdown of `id`, or a free one for it.
    fn countdown(&mut self, id: u64) -> &mut Countdown {
        let near = (0..PROBES)
            .map(|probe| (id as usize + probe) % NEAR)
            .find(|&at| self.near[at].due == 0 || self.near[at].id == id);
        match near {
            Some(at) => &mut self.near[at],
            None => self.far.entry(id).or_insert(FREE),
        }
    }

    /// How many tasks of a label were started.
    pub(crate) fn started(&mut self, id: u64) -> u64 {
        self.countdown(id).started()
    }

    /// Notes after how many more tasks of a label the next one is to be measured.
    pub(crate) fn measure_after(&mut self, id: u64, tasks: u64) {
        let countdown = self.countdown(id);
        (countdown.left, countdown.due) = (tasks, countdown.started() + tasks);
    }

    /// The row of a label that is known.
    pub(crate) fn row(&mut self, id: u64) -> Option<usize> {
        let countdown = self.countdown(id);
        (countdown.due > 0).then_some(countdown.row)
    }

    /// The rows of all labels, each with how many of its tasks were started.
    pub(crate) fn all_started(&self) -> impl Iterator<Item = (usize, u64)> {
        let used = self.near.iter().chain(self.far.values()).filter(|it| it.due > 0);
        used.map(|it| (it.row, it.started()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_its_row_however_many_there_are() {
        let mut meter = Meter::new();
        let mut rows = 0;
        for round in 1..=3 {
            for id in (0..200).chain((1..100).map(|page| page << 12)) {
                let start = meter.start(id).unwrap_or_else(|| {
                    rows += 1;
                    meter.start_first(id, rows - 1)
                });
                if start.measure {
                    meter.measure_after(id, 2);
                }
                assert_eq!((meter.started(id), meter.row(id)), (round, Some(start.row)), "{id}");
            }
        }
        assert_eq!((rows, meter.row(7 << 20)), (299, None));
        let mut all: Vec<_> = meter.all_started().collect();
        all.sort_unstable();
        assert!(all.into_iter().eq((0..299).map(|row| (row, 3))));
    }

    #[test]
    fn what_is_to_be_measured_comes_when_it_is_due() {
        let mut meter = Meter::new();
        assert_eq!(meter.start(7), None);
        assert!(meter.start_first(7, 0).measure);
        meter.measure_after(7, 3);
        let measure = [(); 4].map(|()| meter.start(7).is_some_and(|start| start.measure));
        // The last one because that before it was not.
        assert_eq!(measure, [false, false, true, true]);
        assert_eq!(meter.started(7), 5);
    }
}
