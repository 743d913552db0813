//! Rows as many children would write them, in one process.

use std::io::{PipeReader, Read, pipe};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::scoreboard::{Capacity, ChildState, OwnRow, Scoreboard};

/// A board with `children` starting children, the rows of which all ring the same bell.
fn board(slots: usize, children: usize) -> (Arc<Scoreboard>, Vec<OwnRow>, PipeReader) {
    let board = Arc::new(Scoreboard::new(slots, 4).unwrap());
    let (heard, bell) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&heard, true).unwrap();
    let rows = (0..children).map(|child| {
        board.claim(child, 1, 1);
        let bell = bell.as_fd().try_clone_to_owned().unwrap();
        OwnRow::new(Arc::clone(&board), child, Some(bell)).unwrap()
    });
    let rows = rows.collect();
    (board, rows, heard)
}

fn rings(heard: &mut PipeReader) -> usize {
    heard.read(&mut [0; 64]).unwrap_or(0)
}

fn take(row: &OwnRow) {
    row.accepted();
    row.ring_if_short();
}

#[test]
fn it_rings_below_the_threshold_once_for_each_arming() {
    let (board, rows, mut heard) = board(8, 2);
    for row in &rows {
        row.ready(Capacity::connections(4));
    }
    for _ in 0..3 {
        take(&rows[0]);
    }
    assert_eq!(rings(&mut heard), 0, "nothing is armed");
    board.watch_spare(4);
    rows[0].ring_if_short();
    take(&rows[1]);
    assert_eq!(rings(&mut heard), 0, "four are left");
    take(&rows[1]);
    assert_eq!(rings(&mut heard), 1);
    take(&rows[1]);
    take(&rows[0]);
    assert_eq!(rings(&mut heard), 0, "it was disarmed");
    board.watch_spare(4);
    rows[0].ring_if_short();
    assert_eq!(rings(&mut heard), 1);
    board.watch_spare(4);
    board.watch_spare(0);
    rows[0].ring_if_short();
    assert_eq!(rings(&mut heard), 0);
}

#[test]
fn starting_children_count_as_idle_and_those_that_accept_nothing_do_not() {
    let (board, rows, mut heard) = board(8, 3);
    rows[0].ready(Capacity::connections(4));
    board.watch_spare(5);
    take(&rows[0]);
    assert_eq!(rings(&mut heard), 0, "two children start");
    for (row, state) in [(&rows[1], ChildState::Resting), (&rows[2], ChildState::Draining)] {
        row.ready(Capacity::connections(4));
        row.state(state);
    }
    take(&rows[0]);
    assert_eq!(rings(&mut heard), 1);
}

#[test]
fn what_is_taken_follows_the_kind_of_child() {
    let (board, rows, _heard) = board(2, 2);
    assert_eq!(board.facts()[0].taken, 0);
    rows[0].ready(Capacity::connections(2));
    rows[1].ready(Capacity::requests(2, 3));
    let taken = || board.facts().iter().map(|facts| facts.taken).collect::<Vec<_>>();
    for row in &rows {
        row.accepted();
        row.entered();
    }
    assert_eq!(taken(), [1, 1]);
    for row in &rows {
        row.left();
        row.queued(0);
    }
    assert_eq!(taken(), [1, 0], "a connection that waits takes a thread of one, nothing of the other");
    rows[1].queued(17);
    assert_eq!(taken(), [1, 2], "never more than there are");
    rows[1].queued(0);
    for row in &rows {
        row.accepted();
        row.accepted();
    }
    assert_eq!(taken(), [2, 2], "as many connections as may be");
}

#[test]
fn a_large_board_costs_what_its_children_cost() {
    let (board, rows, mut heard) = board(4096, 3);
    for row in &rows {
        row.ready(Capacity::connections(1));
        row.accepted();
    }
    assert_eq!(board.facts().len(), 3);
    assert_eq!(board.rows_used().len(), 3);
    board.watch_spare(1);
    rows[0].ring_if_short();
    assert_eq!(rings(&mut heard), 1);
    board.claim(4000, 1, 1);
    board.clear(1);
    assert_eq!(board.rows_used().len(), 4001);
    board.clear(4000);
    assert_eq!(board.rows_used().len(), 3, "the last that is in use");
    board.clear(0);
    board.clear(2);
    assert_eq!(board.rows_used().len(), 0);
    assert_eq!(board.facts().len(), 0);
}

#[test]
fn a_header_that_lies_leads_nowhere() {
    let (board, rows, _heard) = board(2, 1);
    board.header().rows_used.store(u32::MAX, Relaxed);
    assert_eq!(board.facts().len(), 1);
    board.watch_spare(u32::MAX);
    rows[0].ring_if_short();
    assert_eq!(rows[0].fewest_connections_elsewhere(), None);
    board.clear(7);
    board.claim(7, 1, 1);
}

#[test]
fn a_child_that_begins_its_row_while_the_parent_clears_others_is_seen() {
    let board = Arc::new(Scoreboard::new(8, 64).unwrap());
    board.claim(5, 0, 1);
    let over = Arc::new(AtomicBool::new(false));
    let (child, stop) = (Arc::clone(&board), Arc::clone(&over));
    let begins = std::thread::spawn(move || {
        while !stop.load(Relaxed) {
            child.claim(5, 2, 1);
        }
    });
    for _ in 0..50_000 {
        board.claim(0, 1, 1);
        board.clear(0);
        let seen: Vec<usize> = board.facts().iter().map(|facts| facts.child).collect();
        assert_eq!(seen, [5]);
    }
    over.store(true, Relaxed);
    begins.join().unwrap();
}

#[test]
fn a_child_without_an_idle_thread_has_none_though_it_has_a_slot_more() {
    let (board, rows, _heard) = board(8, 2);
    for row in &rows {
        row.ready(Capacity::requests(3, 100));
    }
    assert!(rows[0].others_have_idle());
    for _ in 0..3 {
        rows[1].entered();
    }
    assert!(!rows[0].others_have_idle());
    board.claim(2, 1, 1);
    assert!(rows[0].others_have_idle(), "one that starts is about to have some");
}
