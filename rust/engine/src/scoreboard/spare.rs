//! Who tells the parent that spare capacity runs out: the child that takes a unit and finds too few left.
//!
//! The parent says how few are too few, and by that arms the bell; the child that rings disarms it, so that a shortage is
//! told once and not by everybody for every request. While nothing is armed, or a child has enough idle units of its own,
//! looking costs one load of a cell that hardly ever changes and a few of the child's own.

use std::os::fd::OwnedFd;
use std::sync::atomic::{
    Ordering::{Relaxed, SeqCst},
    fence,
};

use super::Scoreboard;

impl Scoreboard {
    /// Has the bell rung once when fewer than `least` units are idle in all children that are ready or starting; 0 for
    /// never. Run by the parent, and again after each ring. A shortage that is there already and stays as it is does not
    /// ring, so the parent reads the rows after this call and not before.
    pub fn watch_spare(&self, least: u32) {
        self.header().least_spare.store(least, SeqCst);
        fence(SeqCst);
    }

    /// Rings `bell` if too few units are idle, now that `child` has taken one.
    pub(super) fn ring_if_short(&self, child: usize, bell: &OwnedFd) {
        let own = &self.rows()[child];
        // Either this sees what the parent has just armed, or the parent sees what this child has just taken.
        fence(SeqCst);
        let least = self.header().least_spare.load(Relaxed);
        let units = own.units.load(Relaxed);
        if least == 0 || own.idle(units) >= least {
            return;
        }
        // From its own row on: children that are partly busy add up to enough within a row or two.
        let used = self.rows_used();
        let (before, from_own) = used.split_at(child.min(used.len()));
        let mut idle: u32 = 0;
        for row in from_own.iter().chain(before) {
            idle = idle.saturating_add(row.idle(units));
            if idle >= least {
                return;
            }
        }
        if self.header().least_spare.compare_exchange(least, 0, SeqCst, SeqCst).is_ok() {
            // A pipe that is full has rung already.
            let _ = rustix::io::write(bell, &[0]);
        }
    }
}

#[cfg(test)]
mod tests;
