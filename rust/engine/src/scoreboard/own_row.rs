//! The hand with which a child writes its own row.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::{Capacity, ChildCells, ChildState, Scoreboard};
use crate::connection::Stage;

/// See the module's first line. One per child, shared by its threads.
#[derive(Debug)]
pub struct OwnRow {
    board: Arc<Scoreboard>,
    child: usize,
    spare_bell: Option<OwnedFd>,
}

/// A thread is counted among those that wait for their readers.
#[derive(Debug)]
pub struct WaitsForReader<'a>(&'a ChildCells);

impl Drop for WaitsForReader<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Relaxed);
    }
}

impl OwnRow {
    /// The row of `child`; None when the board has no such row. `spare_bell`, a pipe that does not block, is rung when
    /// too little spare capacity is left; see [`Scoreboard::watch_spare`].
    #[must_use]
    pub fn new(board: Arc<Scoreboard>, child: usize, spare_bell: Option<OwnedFd>) -> Option<Self> {
        (child < board.children).then_some(Self { board, child, spare_bell })
    }

    fn cells(&self) -> &ChildCells {
        &self.board.rows()[self.child]
    }

    /// The child serves, and so much at once.
    pub fn ready(&self, capacity: Capacity) {
        self.cells().has(capacity);
        self.state(ChildState::Ready);
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
    pub fn queued(&self, requests: usize) {
        self.cells().queued.store(u32::try_from(requests).unwrap_or(u32::MAX), Relaxed);
    }

    /// A complete request has waited for so long until a thread had it.
    pub fn waited(&self, time: Duration) {
        // The usual case does not touch the cell.
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if micros > 0 {
            self.cells().queue_micros.fetch_add(micros, Relaxed);
        }
    }

    /// A complete request has been refused because too many waited, or it had waited too long.
    pub fn turned_away(&self) {
        self.cells().turned_away.fetch_add(1, Relaxed);
    }

    /// A complete request has been dropped because its client had gone.
    pub fn dropped(&self) {
        self.cells().dropped.fetch_add(1, Relaxed);
    }

    /// An answer has been broken off because its reader was behind and another client needed the thread.
    pub fn broken_off(&self) {
        self.cells().broken_off.fetch_add(1, Relaxed);
    }

    /// Complete requests that wait because all threads are inside the application.
    #[must_use]
    pub fn short_of_threads(&self) -> usize {
        let cells = self.cells();
        let short = cells.busy.load(Relaxed) >= cells.units.load(Relaxed);
        if short { cells.queued.load(Relaxed) as usize } else { 0 }
    }

    /// The application has taken too long for a request.
    pub fn timed_out(&self) {
        self.cells().timed_out.fetch_add(1, Relaxed);
    }

    /// A connection or a request has been refused because its address had too many.
    pub fn refused_by_address(&self) {
        self.cells().refused_by_address.fetch_add(1, Relaxed);
    }

    /// Thread `thread` is in `stage`, or idle. A thread without a slot (the event MPM's extra one) tells nothing.
    pub fn stage(&self, thread: usize, stage: Option<Stage>) {
        if let Some(slot) = self.board.slots(self.child).get(thread) {
            slot.stage.store(stage.map_or(0, |stage| stage as u8 + 1), Relaxed);
        }
    }

    /// To be called when a unit has been taken: rings the bell if too few are left.
    pub fn ring_if_short(&self) {
        if let Some(bell) = &self.spare_bell {
            self.board.ring_if_short(self.child, bell);
        }
    }

    /// Connections open here now.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.cells().connections.load(Relaxed)
    }

    /// Whether any child that accepts has a unit that nobody has taken.
    #[must_use]
    pub fn somebody_is_idle(&self) -> bool {
        self.board.somebody_is_idle(self.child)
    }

    /// Units of all children that are ready, which are all as large as this one.
    #[must_use]
    pub fn units_of_all(&self) -> usize {
        let children = self.board.ready().count().max(1);
        children.saturating_mul(self.cells().units.load(Relaxed) as usize)
    }

    /// Those of them that wait for readers.
    #[must_use]
    pub fn readers_of_all(&self) -> usize {
        self.board.ready().map(|row| row.readers.load(Relaxed) as usize).fold(0, usize::saturating_add)
    }

    /// A thread waits for its reader, as long as what this returns is kept.
    #[must_use]
    pub fn waits_for_reader(&self) -> WaitsForReader<'_> {
        self.cells().readers.fetch_add(1, Relaxed);
        WaitsForReader(self.cells())
    }

    /// Threads for which there is no request yet.
    #[must_use]
    pub fn idle(&self) -> usize {
        let cells = self.cells();
        cells.units.load(Relaxed).saturating_sub(cells.taken()) as usize
    }

    /// As `Scoreboard::others_have_idle`.
    #[must_use]
    pub fn others_have_idle(&self) -> bool {
        self.board.others_have_idle(self.child)
    }

    /// As `Scoreboard::others_accept`.
    #[must_use]
    pub fn others_accept(&self) -> bool {
        self.board.others_accept(self.child)
    }

    /// As `Scoreboard::fewest_connections_where_idle`.
    #[must_use]
    pub fn fewest_connections_where_idle(&self) -> Option<u32> {
        self.board.fewest_connections_where_idle(self.child)
    }

    /// As `Scoreboard::fewest_connections_elsewhere`.
    #[must_use]
    pub fn fewest_connections_elsewhere(&self) -> Option<u32> {
        self.board.fewest_connections_elsewhere(self.child)
    }
}
