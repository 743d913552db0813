//! What a child is to do about clients: the one state that says whether it accepts and whether its connections go on.
//!
//! Parent, operator and signal handlers give words at any time, from any thread; each word is one atomic step here, and
//! the threads of the driver look at the outcome when they come by. Waking those that sleep is the drivers' business.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::Instant;

use crate::connection::{Connection, Stage};
use crate::scoreboard::{ChildState, OwnRow};

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Duty {
    /// Accepts; connections are kept alive.
    Serving = 0,
    /// Accepts; every answer ends its connection, so that clients go elsewhere of their own accord.
    Parting = 1,
    /// Accepts nothing, ends its connections with their answers, and stays to be recalled.
    Resting = 2,
    /// Accepts what waits in the kernel's queue, until nothing waits; then it leaves.
    Sweeping = 3,
    /// Accepts nothing, ends its connections with their answers, and is over when the last has ended.
    Leaving = 4,
}

/// What a child can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Part,
    Rest,
    Resume,
    Sweep,
    Leave,
    /// Of the driver to itself: nobody waits any more.
    Swept,
}

impl Duty {
    /// The word for it in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Parting => "parting",
            Self::Resting => "resting",
            Self::Sweeping => "sweeping",
            Self::Leaving => "leaving",
        }
    }

    /// Whether new connections are taken.
    #[must_use]
    pub fn accepts(self) -> bool {
        match self {
            Self::Serving | Self::Parting | Self::Sweeping => true,
            Self::Resting | Self::Leaving => false,
        }
    }

    /// Every legal step; a word that has no meaning here changes nothing. There is no way back from leaving, and from
    /// sweeping only there.
    fn after(self, word: Word) -> Self {
        match (self, word) {
            (Self::Serving, Word::Part) => Self::Parting,
            (Self::Serving | Self::Parting, Word::Rest) => Self::Resting,
            (Self::Resting, Word::Resume) => Self::Serving,
            (Self::Serving | Self::Parting | Self::Resting, Word::Sweep) => Self::Sweeping,
            (_, Word::Leave) | (Self::Sweeping, Word::Swept) => Self::Leaving,
            (_, Word::Part | Word::Rest | Word::Resume | Word::Sweep | Word::Swept) => self,
        }
    }

    /// Tells one connection what the duty means for it. Cheap, and to be repeated at will.
    ///
    /// A client that has just connected to a parting child has its usual time; all others that are silent are waited for
    /// but shortly.
    pub(super) fn tell(self, connection: &mut Connection, now: Instant) {
        match self {
            Self::Serving => {}
            Self::Parting if connection.stage() != Stage::KeepAlive => connection.part(),
            Self::Parting | Self::Resting | Self::Sweeping | Self::Leaving => connection.retire(now),
        }
    }

    fn from_cell(cell: u8) -> Self {
        match cell {
            0 => Self::Serving,
            1 => Self::Parting,
            2 => Self::Resting,
            3 => Self::Sweeping,
            _ => Self::Leaving,
        }
    }

    fn state(self) -> ChildState {
        match self {
            Self::Serving | Self::Parting => ChildState::Ready,
            Self::Resting => ChildState::Resting,
            Self::Sweeping | Self::Leaving => ChildState::Draining,
        }
    }
}

/// The duty of one child, shared by its threads.
#[derive(Debug)]
pub struct Orders {
    duty: AtomicU8,
}

impl Default for Orders {
    /// Serving.
    fn default() -> Self {
        Self { duty: AtomicU8::new(Duty::Serving as u8) }
    }
}

impl Orders {
    /// What to do now.
    #[must_use]
    pub fn duty(&self) -> Duty {
        Duty::from_cell(self.duty.load(SeqCst))
    }

    /// Takes `word`, and shows the outcome in the child's row. True if the duty has changed.
    pub(super) fn take(&self, word: Word, row: &OwnRow) -> bool {
        let next = |cell: u8| Some(Duty::from_cell(cell).after(word) as u8);
        let before = self.duty.fetch_update(SeqCst, SeqCst, next).map_or(Duty::Leaving, Duty::from_cell);
        // Two threads may take a word at once: the last to write the row must be one that wrote the last duty.
        loop {
            let duty = self.duty();
            row.state(duty.state());
            if self.duty() == duty {
                return before.after(word) != before;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Duty, Orders, Word};
    use crate::scoreboard::{OwnRow, Scoreboard};

    const WORDS: [Word; 6] = [Word::Part, Word::Rest, Word::Resume, Word::Sweep, Word::Leave, Word::Swept];

    #[test]
    fn every_word_in_every_duty() {
        use Duty::{Leaving, Parting, Resting, Serving, Sweeping};
        // Columns as in `WORDS`.
        let table = [
            (Serving, [Parting, Resting, Serving, Sweeping, Leaving, Serving]),
            (Parting, [Parting, Resting, Parting, Sweeping, Leaving, Parting]),
            (Resting, [Resting, Resting, Serving, Sweeping, Leaving, Resting]),
            (Sweeping, [Sweeping, Sweeping, Sweeping, Sweeping, Leaving, Leaving]),
            (Leaving, [Leaving; 6]),
        ];
        for (duty, row) in table {
            assert_eq!(WORDS.map(|word| duty.after(word)), row, "{duty:?}");
        }
    }

    #[test]
    fn the_row_says_what_the_child_does() {
        let board = Arc::new(Scoreboard::new(1, 1).unwrap());
        board.claim(0, 1, 1);
        let row = OwnRow::new(Arc::clone(&board), 0, None).unwrap();
        let orders = Orders::default();
        for (word, changes, state) in [
            (Word::Part, true, "ready"),
            (Word::Part, false, "ready"),
            (Word::Rest, true, "resting"),
            (Word::Resume, true, "ready"),
            (Word::Sweep, true, "draining"),
            (Word::Resume, false, "draining"),
            (Word::Swept, true, "draining"),
            (Word::Leave, false, "draining"),
        ] {
            assert_eq!(orders.take(word, &row), changes, "{word:?}");
            assert_eq!(board.facts()[0].state.word(), state, "{word:?}");
        }
        assert_eq!(orders.duty(), Duty::Leaving);
    }
}
