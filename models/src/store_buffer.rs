//! A memory with store buffers: what x86 guarantees between threads (x86-TSO), and no more.
//!
//! A store goes to the end of the storing thread's buffer, and from there to memory whenever it
//! pleases the processor, oldest first. A load takes the newest store to its cell from the thread's
//! own buffer, else what is in memory. So every thread sees its own stores at once, and the others
//! see them late: a load may overtake an earlier store of the same thread. That is the one
//! reordering of this machine, and the one against which fences and `membarrier` are there.
//!
//! Processors that also reorder loads with loads, or stores with stores, are not modelled. Against
//! them the protocols rely on `Acquire` and `Release`, which this machine gives to every access.
//!
//! # What empties a buffer
//!
//! Only [`Memory::flush`], one store at a time, which a model offers as a step of its own. Whatever
//! waits for an empty buffer is a step that is not offered before [`Memory::is_drained`] (a fence,
//! a locked instruction, taking a mutex) or [`Memory::barrier_passed`] (`membarrier`) says so. No
//! thread waits for good this way, as stores can always be flushed.
//!
//! # `membarrier`
//!
//! The call makes every other thread execute a fence *at some moment* between its beginning and its
//! return, not at the same moment for all. A fence takes effect when the buffer is empty; so the
//! call may return once every buffer has been seen empty at least once since it began. A buffer
//! that is empty when the call begins counts at once: a later fence would only guarantee more.

/// How many stores a buffer holds. No model fills it: see [`Memory::store`].
const DEPTH: usize = 12;

/// A memory of `CELLS` cells that hold at most 15, as `THREADS` threads see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Memory<const CELLS: usize, const THREADS: usize> {
    cells: [u8; CELLS],
    buffers: [Buffer; THREADS],
    /// For each thread inside `membarrier`, a bit for every thread whose buffer it still has to see
    /// empty.
    awaited: [u8; THREADS],
}

/// One thread's stores on their way to memory, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Buffer {
    len: u8,
    /// Each store is its cell in the high half and its value in the low half; zeros beyond `len`.
    stores: [u8; DEPTH],
}

impl Buffer {
    fn stores(&self) -> &[u8] {
        &self.stores[..self.len.into()]
    }

    fn push(&mut self, cell: usize, value: u8) {
        assert!(cell < 16 && value < 16, "a store is packed into a byte");
        let end = usize::from(self.len);
        assert!(end < DEPTH, "a full buffer would hide interleavings: make DEPTH larger");
        self.stores[end] = (cell as u8) << 4 | value;
        self.len += 1;
    }

    fn newest(&self, cell: usize) -> Option<u8> {
        let store = self.stores().iter().rev().find(|&&store| usize::from(store >> 4) == cell)?;
        Some(store & 15)
    }

    /// Removes the oldest store.
    fn pop(&mut self) -> Option<(usize, u8)> {
        let oldest = *self.stores().first()?;
        self.stores.copy_within(1.., 0);
        self.stores[DEPTH - 1] = 0;
        self.len -= 1;
        Some((usize::from(oldest >> 4), oldest & 15))
    }
}

impl<const CELLS: usize, const THREADS: usize> Default for Memory<CELLS, THREADS> {
    fn default() -> Self {
        Memory {
            cells: [0; CELLS],
            buffers: std::array::from_fn(|_| Buffer::default()),
            awaited: [0; THREADS],
        }
    }
}

impl<const CELLS: usize, const THREADS: usize> Memory<CELLS, THREADS> {
    /// What `thread` reads from `cell`.
    pub fn load(&self, thread: usize, cell: usize) -> u8 {
        self.buffers[thread].newest(cell).unwrap_or(self.cells[cell])
    }

    /// An ordinary store.
    ///
    /// # Panics
    ///
    /// If the buffer is full. A buffer that made the thread wait instead would silently leave
    /// interleavings out.
    pub fn store(&mut self, thread: usize, cell: usize, value: u8) {
        self.buffers[thread].push(cell, value);
    }

    /// A locked exchange; returns the value before.
    ///
    /// # Panics
    ///
    /// If the thread's buffer is not empty: offer the step only if it [is](Self::is_drained).
    pub fn swap(&mut self, thread: usize, cell: usize, value: u8) -> u8 {
        assert!(self.is_drained(thread), "a locked instruction waits for the store buffer");
        std::mem::replace(&mut self.cells[cell], value)
    }

    /// What is in memory, for properties and for what a model treats as atomic.
    pub fn cell(&self, cell: usize) -> u8 {
        self.cells[cell]
    }

    /// Whether all of the thread's stores have reached memory.
    pub fn is_drained(&self, thread: usize) -> bool {
        self.buffers[thread].len == 0
    }

    /// Whether all stores of all threads have reached memory.
    pub fn is_quiet(&self) -> bool {
        (0..THREADS).all(|thread| self.is_drained(thread))
    }

    /// The oldest store of `thread`, if there is one, reaches memory.
    pub fn flush(&mut self, thread: usize) {
        let Some((cell, value)) = self.buffers[thread].pop() else { return };
        self.cells[cell] = value;
        if self.is_drained(thread) {
            self.awaited.iter_mut().for_each(|waiting| *waiting &= !(1 << thread));
        }
    }

    /// `thread` calls `membarrier`.
    ///
    /// # Panics
    ///
    /// If the thread's buffer is not empty: the call begins with a fence of the caller's own.
    pub fn begin_barrier(&mut self, thread: usize) {
        assert!(self.is_drained(thread), "membarrier waits for the caller's own store buffer");
        let occupied = (0..THREADS).filter(|&other| !self.is_drained(other));
        self.awaited[thread] = occupied.map(|other| 1 << other).sum();
    }

    /// Whether the `membarrier` that `thread` called may return.
    pub fn barrier_passed(&self, thread: usize) -> bool {
        self.awaited[thread] == 0
    }
}
