//! Shared memory that tells what every child does: the only definition of its layout.
//!
//! Made by the parent before any fork, inherited by all. A child writes its own row and slots and nobody else does (the
//! parent writes a row only while no child has it: before the fork and after the reaping), so every cell has a single
//! writer and plain relaxed stores are enough. Readers take each cell as it is; a set of cells may be from slightly
//! different moments. What is read is untrusted: nothing indexes by it, and only sizing, fairness and display rest on it.
#![allow(unsafe_code)] // One shared mapping, made here and seen as rows of atomics.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::connection::Stage;

/// What a child is doing as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ChildState {
    /// Nobody has this row.
    Empty = 0,
    /// Ordered or forked, not serving yet.
    Starting = 1,
    /// Serving and accepting.
    Ready = 2,
    /// Retired: no longer accepting, finishing what it has.
    Draining = 3,
}

impl ChildState {
    /// The word for this state, in the scoreboard, logs and documentation.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }

    fn from_cell(value: u32) -> Self {
        match value {
            1 => Self::Starting,
            2 => Self::Ready,
            3 => Self::Draining,
            _ => Self::Empty,
        }
    }
}

/// One child's cells; on cache lines of its own, so that children do not slow each other.
#[repr(C, align(128))]
#[derive(Debug)]
struct ChildCells {
    state: AtomicU32,
    pid: AtomicU32,
    generation: AtomicU64,
    connections: AtomicU32,
    busy: AtomicU32,
    queued: AtomicU32,
    accepted: AtomicU64,
    requests: AtomicU64,
}

/// One thread's cells. A stage of zero is an idle thread, otherwise it is the stage's number plus one.
#[repr(C, align(64))]
#[derive(Debug)]
struct SlotCells {
    stage: AtomicU8,
    requests: AtomicU64,
}

/// What a child's row said at one moment.
#[derive(Debug, Clone)]
pub struct ChildFacts {
    /// The row's number.
    pub child: usize,
    /// Process identifier.
    pub pid: u32,
    /// Which template it was forked from.
    pub generation: u64,
    /// What it is doing.
    pub state: ChildState,
    /// Connections open now.
    pub connections: u32,
    /// Connections accepted so far.
    pub accepted: u64,
    /// Requests answered so far.
    pub requests: u64,
    /// Threads inside the application now.
    pub busy: u32,
    /// Complete requests that wait for a thread now.
    pub queued: u32,
    /// The word for what each thread is doing.
    pub stages: Vec<&'static str>,
}

/// The mapping. Children are rows, threads are slots of a row.
#[derive(Debug)]
pub struct Scoreboard {
    base: NonNull<c_void>,
    length: usize,
    children: usize,
    threads: usize,
}

// SAFETY: the mapping lives as long as the value, and all that is in it is atomics.
unsafe impl Send for Scoreboard {}
// SAFETY: as above; shared access is by atomics only.
unsafe impl Sync for Scoreboard {}

impl Scoreboard {
    /// Maps zeroed memory for `children` rows of `threads` slots, shared with every process forked afterwards.
    ///
    /// # Errors
    /// When the numbers are too large, or the system has no memory to map.
    pub fn new(children: usize, threads: usize) -> io::Result<Self> {
        let rows = children.checked_mul(size_of::<ChildCells>());
        let slots = children.checked_mul(threads).and_then(|slots| slots.checked_mul(size_of::<SlotCells>()));
        let length = rows.zip(slots).and_then(|(rows, slots)| rows.checked_add(slots)).filter(|length| *length > 0);
        let Some(length) = length else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a scoreboard needs at least one child"));
        };
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            mmap_anonymous(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)
        }?;
        let Some(base) = NonNull::new(base) else {
            return Err(io::Error::other("the system mapped the scoreboard at address zero"));
        };
        Ok(Self { base, length, children, threads })
    }

    /// How many rows there are.
    #[must_use]
    pub fn children(&self) -> usize {
        self.children
    }

    /// How many slots a row has.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    fn rows(&self) -> &[ChildCells] {
        // SAFETY: the mapping is page-aligned, zeroed, begins with `children` rows, and zero is a valid value of atomics.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast::<ChildCells>(), self.children) }
    }

    fn slots(&self, child: usize) -> &[SlotCells] {
        let offset = self.children * size_of::<ChildCells>() + child * self.threads * size_of::<SlotCells>();
        assert!(child < self.children, "child {child} has no row");
        // SAFETY: `offset` is within the mapping, because the row is; rows are a multiple of the slots' alignment long.
        let first = unsafe { self.base.as_ptr().byte_add(offset) };
        // SAFETY: `threads` slots follow there, zeroed or written as atomics only.
        unsafe { std::slice::from_raw_parts(first.cast::<SlotCells>(), self.threads) }
    }

    /// Begins a row: state starting, counters zero. Run by the parent before it orders the fork.
    pub fn claim(&self, child: usize, pid: u32, generation: u64) {
        self.clear(child);
        if let Some(row) = self.rows().get(child) {
            row.pid.store(pid, Relaxed);
            row.generation.store(generation, Relaxed);
            row.state.store(ChildState::Starting as u32, Relaxed);
        }
    }

    /// Empties the row of a child that is gone. Run by the parent.
    pub fn clear(&self, child: usize) {
        let Some(row) = self.rows().get(child) else {
            return;
        };
        row.state.store(ChildState::Empty as u32, Relaxed);
        for cell in [&row.pid, &row.connections, &row.busy, &row.queued] {
            cell.store(0, Relaxed);
        }
        for cell in [&row.generation, &row.accepted, &row.requests] {
            cell.store(0, Relaxed);
        }
        for slot in self.slots(child) {
            slot.stage.store(0, Relaxed);
            slot.requests.store(0, Relaxed);
        }
    }

    /// Reads every row in use.
    #[must_use]
    pub fn facts(&self) -> Vec<ChildFacts> {
        let in_use = |(child, row): (usize, &ChildCells)| {
            let state = ChildState::from_cell(row.state.load(Relaxed));
            (state != ChildState::Empty).then(|| ChildFacts {
                child,
                pid: row.pid.load(Relaxed),
                generation: row.generation.load(Relaxed),
                state,
                connections: row.connections.load(Relaxed),
                accepted: row.accepted.load(Relaxed),
                requests: row.requests.load(Relaxed),
                busy: row.busy.load(Relaxed),
                queued: row.queued.load(Relaxed),
                stages: self.slots(child).iter().map(|slot| stage_word(slot.stage.load(Relaxed))).collect(),
            })
        };
        self.rows().iter().enumerate().filter_map(in_use).collect()
    }

    /// The fewest connections that any ready child but `child` has open; None when there is no other.
    #[must_use]
    pub fn fewest_connections_elsewhere(&self, child: usize) -> Option<u32> {
        let others = self
            .rows()
            .iter()
            .enumerate()
            .filter(|(other, row)| *other != child && row.state.load(Relaxed) == ChildState::Ready as u32);
        others.map(|(_, row)| row.connections.load(Relaxed)).min()
    }
}

impl Drop for Scoreboard {
    fn drop(&mut self) {
        // SAFETY: exactly this mapping was made by `new`, and no reference into it outlives the value.
        // A failure would leave the mapping in place, which harms nobody.
        let _ = unsafe { munmap(self.base.as_ptr(), self.length) };
    }
}

/// The hand with which a child writes its own row.
#[derive(Debug, Clone)]
pub struct OwnRow {
    board: Arc<Scoreboard>,
    child: usize,
}

impl OwnRow {
    /// The row of `child`; None when the board has no such row.
    #[must_use]
    pub fn new(board: Arc<Scoreboard>, child: usize) -> Option<Self> {
        (child < board.children).then_some(Self { board, child })
    }

    fn cells(&self) -> &ChildCells {
        &self.board.rows()[self.child]
    }

    /// Says what the child does as a whole.
    pub fn state(&self, state: ChildState) {
        self.cells().state.store(state as u32, Relaxed);
    }

    /// One connection more.
    pub fn accepted(&self) {
        self.cells().accepted.fetch_add(1, Relaxed);
        self.cells().connections.fetch_add(1, Relaxed);
    }

    /// One connection less.
    pub fn closed(&self) {
        self.cells().connections.fetch_sub(1, Relaxed);
    }

    /// One request more has been answered.
    pub fn answered(&self) {
        self.cells().requests.fetch_add(1, Relaxed);
    }

    /// One thread more is inside the application.
    pub fn entered(&self) {
        self.cells().busy.fetch_add(1, Relaxed);
    }

    /// One thread less is inside the application.
    pub fn left(&self) {
        self.cells().busy.fetch_sub(1, Relaxed);
    }

    /// So many complete requests wait for a thread.
    pub fn queued(&self, requests: u32) {
        self.cells().queued.store(requests, Relaxed);
    }

    /// Thread `thread` is in `stage`, or idle. A thread without a slot (the event MPM's extra one) tells nothing.
    pub fn stage(&self, thread: usize, stage: Option<Stage>) {
        if let Some(slot) = self.board.slots(self.child).get(thread) {
            slot.stage.store(stage.map_or(0, |stage| stage as u8 + 1), Relaxed);
        }
    }

    /// Connections open here now.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.cells().connections.load(Relaxed)
    }

    /// As `Scoreboard::fewest_connections_elsewhere`.
    #[must_use]
    pub fn fewest_connections_elsewhere(&self) -> Option<u32> {
        self.board.fewest_connections_elsewhere(self.child)
    }
}

fn stage_word(cell: u8) -> &'static str {
    let stage = usize::from(cell).checked_sub(1).and_then(|index| Stage::ALL.get(index));
    stage.map_or("idle", |stage| stage.word())
}
