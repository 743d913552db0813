//! Shared memory that tells what every child does: the only definition of its layout.
//!
//! Made by the parent before any fork, inherited by all. A child writes its own row and slots and nobody else does (the
//! parent writes a row only while no child has it: before the fork and after the reaping), so every cell of a row has a
//! single writer and plain relaxed stores are enough. Readers take each cell as it is; a set of cells may be from slightly
//! different moments. What is read is untrusted: nothing indexes by it, and only sizing, fairness and display rest on it.
//!
//! Before the rows is a header. The parent keeps the number of rows worth looking at there, so that a board made for
//! thousands of children costs what those that exist cost; `spare` says what else. Beside the mapping is what all children
//! write: see `addresses::laggards`.
#![allow(unsafe_code)] // One shared mapping, made here and seen as rows of atomics.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::addresses::Laggards;
use crate::connection::Stage;

mod capacity;
mod holdings;
mod own_row;
mod spare;

pub use capacity::Capacity;
pub use holdings::Holdings;
pub use own_row::OwnRow;

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
    /// Retired: accepting nothing new, finishing what it has.
    Draining = 3,
    /// Surplus: accepting nothing, finishing what it has, and staying to be recalled.
    Resting = 4,
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
            Self::Resting => "resting",
        }
    }

    fn from_cell(value: u32) -> Self {
        match value {
            1 => Self::Starting,
            2 => Self::Ready,
            3 => Self::Draining,
            4 => Self::Resting,
            _ => Self::Empty,
        }
    }
}

/// What concerns all children; on cache lines of its own, since it is read often and hardly ever written.
#[repr(C, align(128))]
#[derive(Debug)]
struct Header {
    /// Rows from this one on are empty. Written by the parent.
    rows_used: AtomicU32,
    /// See `spare`. Written by the parent, and set to zero by the child that rings.
    least_spare: AtomicU32,
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
    /// Threads that wait for readers, of the blocking driver.
    readers: AtomicU32,
    queued: AtomicU32,
    /// The child's [`Capacity`], once it serves.
    units: AtomicU32,
    most_connections: AtomicU32,
    per_request: AtomicU32,
    accepted: AtomicU64,
    requests: AtomicU64,
    queue_micros: AtomicU64,
    turned_away: AtomicU64,
    dropped: AtomicU64,
    broken_off: AtomicU64,
    /// See [`Holdings`].
    held_memory: AtomicU64,
    spooled: AtomicU64,
    spool_share: AtomicU64,
    timed_out: AtomicU64,
    refused_by_address: AtomicU64,
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
    /// How long all requests so far have waited for a thread, added up.
    pub queue_time: Duration,
    /// Complete requests so far that were refused because too many waited, or they had waited too long.
    pub turned_away: u64,
    /// Complete requests so far whose clients had gone before a thread was free.
    pub dropped: u64,
    /// Answers so far that were broken off because their readers were behind and others needed the threads.
    pub broken_off: u64,
    /// Bytes of bodies and answers held in memory now.
    pub held_memory: u64,
    /// Bytes of bodies and answers in temporary files now.
    pub spooled: u64,
    /// What the child has taken of the server's share of temporary files: `spooled`, rounded up.
    pub spool_share: u64,
    /// Requests so far for which the application has taken longer than `timeout`.
    pub timed_out: u64,
    /// Connections and requests so far that were refused because their address had too many.
    pub refused_by_address: u64,
    /// Units of capacity that no further client can have now.
    pub taken: u32,
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
    laggards: Arc<Laggards>,
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
        let rows = children.checked_mul(size_of::<ChildCells>()).and_then(|rows| rows.checked_add(size_of::<Header>()));
        let slots = children.checked_mul(threads).and_then(|slots| slots.checked_mul(size_of::<SlotCells>()));
        let length = rows.zip(slots).and_then(|(rows, slots)| rows.checked_add(slots)).filter(|_| children > 0);
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
        let laggards = Arc::new(Laggards::new()?);
        Ok(Self { base, length, children, threads, laggards })
    }

    /// Addresses that the children remember together.
    #[must_use]
    pub fn laggards(&self) -> &Arc<Laggards> {
        &self.laggards
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

    fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, zeroed, begins with the header, and zero is a valid value of atomics.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    fn rows(&self) -> &[ChildCells] {
        // SAFETY: the rows follow the header, within the mapping; its length is a multiple of their alignment.
        let first = unsafe { self.base.as_ptr().byte_add(size_of::<Header>()) };
        // SAFETY: there are `children` rows, zeroed or written as atomics only.
        unsafe { std::slice::from_raw_parts(first.cast::<ChildCells>(), self.children) }
    }

    /// The rows that may be in use. Never more than there are, whatever the header says.
    fn rows_used(&self) -> &[ChildCells] {
        let used = usize::try_from(self.header().rows_used.load(Relaxed)).unwrap_or(usize::MAX);
        &self.rows()[..used.min(self.children)]
    }

    fn slots(&self, child: usize) -> &[SlotCells] {
        let offset = size_of::<Header>()
            + self.children * size_of::<ChildCells>()
            + child * self.threads * size_of::<SlotCells>();
        assert!(child < self.children, "child {child} has no row");
        // SAFETY: `offset` is within the mapping, because the row is; rows are a multiple of the slots' alignment long.
        let first = unsafe { self.base.as_ptr().byte_add(offset) };
        // SAFETY: `threads` slots follow there, zeroed or written as atomics only.
        unsafe { std::slice::from_raw_parts(first.cast::<SlotCells>(), self.threads) }
    }

    /// Begins a row: state starting, counters zero. Run by the parent before it orders the fork, and by the child, which
    /// knows its `pid`.
    pub fn claim(&self, child: usize, pid: u32, generation: u64) {
        let Some(row) = self.rows().get(child) else {
            return;
        };
        // First, and never empty in between when the child does it again: the parent, which may be clearing another row
        // at this moment, would take this one for the end of those in use.
        row.state.store(ChildState::Starting as u32, Relaxed);
        self.wipe(child, row);
        row.pid.store(pid, Relaxed);
        row.generation.store(generation, Relaxed);
        let beyond = u32::try_from(child).map_or(u32::MAX, |child| child.saturating_add(1));
        // The parent was here before the child: it is the one that writes.
        if self.header().rows_used.load(Relaxed) < beyond {
            self.header().rows_used.store(beyond, Relaxed);
        }
    }

    /// Empties the row of a child that is gone. Run by the parent.
    pub fn clear(&self, child: usize) {
        let Some(row) = self.rows().get(child) else {
            return;
        };
        row.state.store(ChildState::Empty as u32, Relaxed);
        self.wipe(child, row);
        let is_empty = |row: &ChildCells| row.state.load(Relaxed) == ChildState::Empty as u32;
        let used = self.rows_used();
        let left = used.iter().rposition(|row| !is_empty(row)).map_or(0, |last| last + 1);
        self.header().rows_used.store(u32::try_from(left).unwrap_or(u32::MAX), Relaxed);
    }

    /// All but the state.
    fn wipe(&self, child: usize, row: &ChildCells) {
        let counts = [&row.pid, &row.connections, &row.busy, &row.readers, &row.queued];
        for cell in counts.into_iter().chain([&row.units, &row.most_connections, &row.per_request]) {
            cell.store(0, Relaxed);
        }
        let sums = [&row.queue_micros, &row.turned_away, &row.dropped, &row.broken_off, &row.timed_out];
        let refused = [&row.refused_by_address];
        let held = [&row.held_memory, &row.spooled, &row.spool_share];
        for cell in [&row.generation, &row.accepted, &row.requests].into_iter().chain(sums).chain(held).chain(refused) {
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
                queue_time: Duration::from_micros(row.queue_micros.load(Relaxed)),
                turned_away: row.turned_away.load(Relaxed),
                dropped: row.dropped.load(Relaxed),
                broken_off: row.broken_off.load(Relaxed),
                held_memory: row.held_memory.load(Relaxed),
                spooled: row.spooled.load(Relaxed),
                spool_share: row.spool_share.load(Relaxed),
                timed_out: row.timed_out.load(Relaxed),
                refused_by_address: row.refused_by_address.load(Relaxed),
                taken: row.taken(),
                stages: self.slots(child).iter().map(|slot| stage_word(slot.stage.load(Relaxed))).collect(),
            })
        };
        self.rows_used().iter().enumerate().filter_map(in_use).collect()
    }

    /// Whether any ready child, all of which are as large as `child`, has an idle unit.
    fn somebody_is_idle(&self, child: usize) -> bool {
        let units = self.rows()[child].units.load(Relaxed);
        self.ready().any(|row| row.idle(units) > 0)
    }

    /// The rows of all children that are ready.
    fn ready(&self) -> impl Iterator<Item = &ChildCells> {
        self.rows_used().iter().filter(|row| row.state.load(Relaxed) == ChildState::Ready as u32)
    }

    /// The fewest connections that any ready child but `child` has open; None when there is no other.
    #[must_use]
    pub fn fewest_connections_elsewhere(&self, child: usize) -> Option<u32> {
        self.others(child).map(|row| row.connections.load(Relaxed)).min()
    }

    /// As `fewest_connections_elsewhere`, of those only that could begin with a request at once.
    #[must_use]
    pub fn fewest_connections_where_idle(&self, child: usize) -> Option<u32> {
        let has_idle = |row: &&ChildCells| row.taken() < row.units.load(Relaxed);
        self.others(child).filter(has_idle).map(|row| row.connections.load(Relaxed)).min()
    }

    /// Whether another child than `child` accepts, or is about to.
    #[must_use]
    pub fn others_accept(&self, child: usize) -> bool {
        let states = [ChildState::Ready as u32, ChildState::Starting as u32];
        let mut rows = self.rows_used().iter().enumerate();
        rows.any(|(other, row)| other != child && states.contains(&row.state.load(Relaxed)))
    }

    /// Whether another child than `child`, all of which are as large, has an idle thread, or is about to.
    #[must_use]
    pub fn others_have_idle(&self, child: usize) -> bool {
        // Not the number of slots: a child may have one for a thread that only receives.
        let units = self.rows()[child].units.load(Relaxed);
        self.rows_used().iter().enumerate().any(|(other, row)| other != child && row.idle(units) > 0)
    }

    /// The rows of all children that are ready, but for `child`.
    fn others(&self, child: usize) -> impl Iterator<Item = &ChildCells> {
        let rows = self.rows_used().iter().enumerate();
        let ready =
            rows.filter(move |(other, row)| *other != child && row.state.load(Relaxed) == ChildState::Ready as u32);
        ready.map(|(_, row)| row)
    }
}

impl Drop for Scoreboard {
    fn drop(&mut self) {
        // SAFETY: exactly this mapping was made by `new`, and no reference into it outlives the value.
        // A failure would leave the mapping in place, which harms nobody.
        let _ = unsafe { munmap(self.base.as_ptr(), self.length) };
    }
}

fn stage_word(cell: u8) -> &'static str {
    let stage = usize::from(cell).checked_sub(1).and_then(|index| Stage::ALL.get(index));
    stage.map_or("idle", |stage| stage.word())
}
