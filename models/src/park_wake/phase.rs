//! The places in a worker's program.

/// Where a worker is. A number is the queue or worker that it deals with next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// In a handler.
    Running,
    /// In a handler that has just published a task.
    Published,
    /// Only in a wrong twin: in a handler that has decided whether to wake, and then publishes.
    Publishing { wake: bool },
    /// In a handler, or about to begin one: wakes somebody, if nobody searches.
    Waking,
    /// Holds the mutex, and has seen that nobody searches.
    WakingLocked,
    /// Only if notified later: has taken a worker off the list, and is about to notify it.
    Notifying(u8),
    /// Has finished a task.
    BetweenTasks,
    /// Searches: is about to look at `done`.
    Searching,
    /// Searches: is about to look at a queue.
    Looking(u8),
    /// Searches: has seen something in a queue.
    Stealing(u8),
    /// Only with [`LeaveBeforeSteal`](super::Variant::LeaveBeforeSteal): the same, no longer
    /// counted.
    StealingUncounted(u8),
    /// Has locked a queue, and is in its barrier.
    Locked(u8),
    /// Only with [`LeaveBeforeSteal`](super::Variant::LeaveBeforeSteal): has found nothing there.
    FailedUncounted,
    /// Holds a task, and so many more on the way to its own queue.
    Stolen(u8),
    /// Holds a task, and has yet to stop searching.
    Found,
    /// Holds a task, was the last to search, and is about to call the barrier.
    HandingOver,
    /// Holds a task, and is in that barrier.
    HandingOverBarrier,
    /// Holds a task, and is about to look at a queue.
    LookingForMore(u8),
    /// Has seen nothing, and is about to register.
    Registering,
    /// Is on the list, and about to call the barrier.
    Registered,
    /// Is on the list, and in that barrier.
    RegisteredBarrier,
    /// Is on the list, and about to look at a queue.
    LookingAgain(u8),
    /// Is on the list, and about to look at `done` and whether all is finished.
    LookingForEnd,
    /// About to take itself off the list, for a task or because it has seen that all is finished.
    Unregistering { end: bool },
    /// Asleep until it is notified.
    Parked,
    /// About to store `done`.
    Ending,
    /// About to notify everybody on the list.
    NotifyingAll,
    /// Has left.
    Exited,
}

impl Phase {
    /// Whether the worker is in a handler.
    pub(super) fn is_in_handler(self) -> bool {
        matches!(
            self,
            Phase::Running
                | Phase::Published
                | Phase::Publishing { .. }
                | Phase::Waking
                | Phase::WakingLocked
                | Phase::Notifying(_)
        )
    }

    /// Whether the worker has a task, which is therefore unfinished.
    pub(super) fn holds_task(self) -> bool {
        let found = matches!(
            self,
            Phase::Stolen(_)
                | Phase::Found
                | Phase::HandingOver
                | Phase::HandingOverBarrier
                | Phase::LookingForMore(_)
        );
        found || self.is_in_handler()
    }

    /// Whether the worker has counted itself as searching. One that leaves before it steals no
    /// longer does so when it holds the lock.
    pub(super) fn is_searching(self, leaves_early: bool) -> bool {
        match self {
            Phase::Searching | Phase::Looking(_) | Phase::Stealing(_) => true,
            Phase::Locked(_) | Phase::Stolen(_) | Phase::Found => !leaves_early,
            Phase::Registering | Phase::Ending | Phase::NotifyingAll => true,
            _ => false,
        }
    }

    /// Whether the worker is on the list, or has been taken off it and counted as searching by
    /// somebody else.
    pub(super) fn is_sleeping(self) -> bool {
        matches!(
            self,
            Phase::Registered
                | Phase::RegisteredBarrier
                | Phase::LookingAgain(_)
                | Phase::LookingForEnd
                | Phase::Unregistering { .. }
                | Phase::Parked
        )
    }
}
