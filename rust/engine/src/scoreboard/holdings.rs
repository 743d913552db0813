//! What a child holds for its clients, as its row tells it: bytes in memory, bytes in temporary files, and how much of the
//! server's share of files it has taken.
//!
//! Every child counts in its own row, and nobody keeps a sum: whoever wants more of the server's share takes it in its own
//! row first, adds up all rows, and puts it back if that is too much. Two that do so at the same time may both be refused
//! where one could have had it, but never is more taken than there is. The row of a child that died is cleared, so nothing
//! leaks.

use std::sync::Arc;
use std::sync::atomic::{
    Ordering::{Relaxed, SeqCst},
    fence,
};

use super::{ChildCells, Scoreboard};

/// The part of a child's row that says what it holds. One per child.
#[derive(Debug)]
pub struct Holdings {
    board: Arc<Scoreboard>,
    child: usize,
}

impl Holdings {
    /// Of the row of `child`; None when the board has no such row.
    #[must_use]
    pub fn new(board: Arc<Scoreboard>, child: usize) -> Option<Self> {
        (child < board.children).then_some(Self { board, child })
    }

    fn cells(&self) -> &ChildCells {
        &self.board.rows()[self.child]
    }

    /// Bytes held in memory.
    pub(crate) fn memory(&self) -> u64 {
        self.cells().held_memory.load(Relaxed)
    }

    /// Holds `bytes` more in memory; tells how many that makes.
    pub(crate) fn hold(&self, bytes: u64) -> u64 {
        self.cells().held_memory.fetch_add(bytes, Relaxed).saturating_add(bytes)
    }

    /// Holds `bytes` less in memory.
    pub(crate) fn let_go(&self, bytes: u64) {
        self.cells().held_memory.fetch_sub(bytes, Relaxed);
    }

    /// Says how many bytes are in temporary files. One thread at a time.
    pub(crate) fn spooled(&self, bytes: u64) {
        self.cells().spooled.store(bytes, Relaxed);
    }

    /// What all children have taken of what they may have together.
    pub(crate) fn shares(&self) -> u64 {
        let taken = self.board.rows_used().iter().map(|row| row.spool_share.load(SeqCst));
        taken.fold(0, u64::saturating_add)
    }

    /// Takes `share` of what all children may have together, instead of what this one has taken so far; false, and nothing
    /// is changed, if they would have more than `limit`. One thread at a time.
    pub(crate) fn take_share(&self, share: u64, limit: u64) -> bool {
        let own = &self.cells().spool_share;
        let before = own.load(Relaxed);
        own.store(share, SeqCst);
        if share <= before {
            return true;
        }
        // Of two that do this at the same time, one at least sees what the other has taken.
        fence(SeqCst);
        let fits = self.shares() <= limit;
        if !fits {
            own.store(before, SeqCst);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::Holdings;
    use crate::scoreboard::Scoreboard;

    fn holdings(board: &Arc<Scoreboard>, child: usize) -> Holdings {
        board.claim(child, 1, 1);
        Holdings::new(Arc::clone(board), child).unwrap()
    }

    #[test]
    fn what_one_child_has_taken_others_cannot_have_until_it_is_gone() {
        let board = Arc::new(Scoreboard::new(3, 1).unwrap());
        let (first, second) = (holdings(&board, 0), holdings(&board, 2));
        assert!(first.take_share(60, 100));
        assert!(!second.take_share(41, 100));
        assert!(second.take_share(40, 100));
        assert!(!first.take_share(61, 100));
        assert!(first.take_share(59, 100));
        board.clear(0);
        assert!(second.take_share(100, 100));
        assert!(!second.take_share(101, 100));
    }

    #[test]
    fn never_more_is_taken_than_there_is_however_many_want_it_at_once() {
        const LIMIT: u64 = 100;
        let board = Arc::new(Scoreboard::new(4, 1).unwrap());
        let children: Vec<Holdings> = (0..4).map(|child| holdings(&board, child)).collect();
        thread::scope(|scope| {
            for child in &children {
                scope.spawn(|| {
                    for round in 0..2000 {
                        let mut share = 0;
                        while child.take_share(share + 1 + round % 7, LIMIT) {
                            share += 1 + round % 7;
                        }
                        let others: u64 = child.board.facts().iter().map(|facts| facts.spool_share).sum();
                        // Others may be trying at this moment, each for one step more.
                        assert!(others <= LIMIT + 3 * 7, "{others}");
                        assert!(child.take_share(0, LIMIT));
                    }
                });
            }
        });
        assert!(children[0].take_share(LIMIT, LIMIT));
    }
}
