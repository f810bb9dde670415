//! When a run is given up because its workers die.

/// Counts workers that die one after the other while there is no progress.
#[derive(Debug)]
pub(super) struct Fuse {
    most: u32,
    deaths: u32,
    /// What there was at the last death: tasks that have ended, leases that were judged, and tasks that
    /// have died with their workers.
    progress: [u64; 3],
}

impl Fuse {
    /// A fuse that bears so many deaths; `u32::MAX` is no limit.
    pub(super) fn new(most: u32) -> Self {
        Self { most, deaths: 0, progress: [0; 3] }
    }

    /// Notes a death, and what there was done by then.
    ///
    /// # Errors
    ///
    /// When there were too many: how many.
    pub(super) fn death(&mut self, progress: [u64; 3]) -> Result<(), u32> {
        self.deaths = if progress == self.progress { self.deaths.saturating_add(1) } else { 1 };
        self.progress = progress;
        if self.deaths > self.most && self.most < u32::MAX { Err(self.deaths) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_without_any_progress_are_counted() {
        let mut fuse = Fuse::new(3);
        for _ in 0..3 {
            assert_eq!(fuse.death([0; 3]), Ok(()));
        }
        assert_eq!(fuse.death([0; 3]), Err(4));
    }

    #[test]
    fn whatever_progress_there_is_counts() {
        let mut fuse = Fuse::new(2);
        let mut progress = [0; 3];
        for step in 0..12 {
            progress[step % 3] += 1;
            assert_eq!((fuse.death(progress), fuse.death(progress)), (Ok(()), Ok(())), "{step}");
        }
        assert_eq!(fuse.death(progress), Err(3));
    }

    #[test]
    fn a_fuse_without_a_limit_bears_everything() {
        let mut fuse = Fuse::new(u32::MAX);
        fuse.deaths = u32::MAX;
        assert_eq!(fuse.death([0; 3]), Ok(()));
        assert_eq!(Fuse::new(0).death([0; 3]), Err(1));
    }
}
