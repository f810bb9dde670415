//! All worker processes of a run: their places, and what is known of how they fail.

use super::{child::WorkerProcess, fuse::Fuse, oom::OutOfMemory, place::Place};

/// The worker processes of a run, seen by their supervisor.
pub(super) struct Staff {
    pub(super) places: Vec<Place>,
    /// What a worker lacked that could not be started, and whether one alone was tried since.
    pub(super) missing: Option<String>,
    pub(super) tried_alone: bool,
    pub(super) fuse: Fuse,
    pub(super) out_of_memory: OutOfMemory,
    /// Whether Ctrl-C was passed on to what handlers have started.
    pub(super) interrupted: bool,
}

impl Staff {
    /// Those of so many workers, of which so many may die one after the other.
    pub(super) fn new(workers: usize, max_deaths: u32) -> Self {
        Self {
            places: (0..workers).map(|_| Place::default()).collect(),
            missing: None,
            tried_alone: false,
            fuse: Fuse::new(max_deaths),
            out_of_memory: OutOfMemory::new(),
            interrupted: false,
        }
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = &WorkerProcess> {
        self.places.iter().filter_map(|place| place.process.as_ref())
    }

    pub(super) fn count(&self, which: impl Fn(&Place) -> bool) -> usize {
        self.places.iter().filter(|place| which(place)).count()
    }

    /// Whether there is no worker and there will be none.
    pub(super) fn is_lost(&self) -> bool {
        self.places.iter().all(Place::is_lost)
    }
}
