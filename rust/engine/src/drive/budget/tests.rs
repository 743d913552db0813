//! What is held is counted, whatever becomes of it.

use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::{Bounds, Budget, Memory, STEP, Space, What};
use crate::scoreboard::{ChildFacts, Holdings, Scoreboard};

/// A child of a board of its own.
pub(in crate::drive) fn budget(bounds: Bounds) -> Arc<Budget> {
    child(&board(), 0, bounds)
}

pub(in crate::drive) fn unbounded() -> Arc<Budget> {
    budget(Bounds::NONE)
}

fn board() -> Arc<Scoreboard> {
    Arc::new(Scoreboard::new(2, 1).unwrap())
}

fn child(board: &Arc<Scoreboard>, child: usize, bounds: Bounds) -> Arc<Budget> {
    board.claim(child, 1, 1);
    Arc::new(Budget::new(bounds, Holdings::new(Arc::clone(board), child).unwrap()))
}

fn row(board: &Scoreboard, child: usize) -> ChildFacts {
    board.facts().into_iter().find(|facts| facts.child == child).unwrap()
}

#[derive(Debug, Clone)]
enum Act {
    Take(usize, u64),
    TakeAnyway(usize, u64),
    GiveBack(usize, u64),
    Spool(usize, u64),
    Unspool(usize, u64),
    Drop(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = 0..6_usize;
    let bytes = prop_oneof![0..5000_u64, Just(STEP), 0..3 * STEP];
    let act = (0..6, who, bytes).prop_map(|(kind, who, bytes)| match kind {
        0 => Act::Take(who, bytes),
        1 => Act::TakeAnyway(who, bytes),
        2 => Act::GiveBack(who, bytes),
        3 => Act::Spool(who, bytes),
        4 => Act::Unspool(who, bytes),
        _ => Act::Drop(who),
    });
    prop::collection::vec(act, 1..200)
}

proptest! {
    #[test]
    fn the_row_tells_what_is_held_and_no_bound_is_passed(acts in acts()) {
        let bounds = Bounds { memory: 3 * STEP, spool: 5 * STEP + 77, server_spool: 8 * STEP + 13 };
        let board = board();
        let children = [0, 1].map(|number| child(&board, number, bounds));
        // Each has the memory that was asked for, the room, and how much that should be; even ones are of the first child.
        let mut holders: Vec<(Memory, Space, u64, u64)> =
            (0..6).map(|who| (Memory::default(), Space::new(What::Body, &children[who % 2]), 0, 0)).collect();
        for act in acts {
            match act {
                Act::Take(who, bytes) => {
                    let held: u64 = holders.iter().skip(who % 2).step_by(2).map(|holder| holder.2).sum();
                    let taken = holders[who].0.take(bytes, &children[who % 2]);
                    prop_assert_eq!(taken, held + bytes <= bounds.memory);
                    holders[who].2 += if taken { bytes } else { 0 };
                }
                Act::TakeAnyway(who, bytes) => {
                    holders[who].0.take_anyway(bytes, &children[who % 2]);
                    holders[who].2 += bytes;
                }
                Act::GiveBack(who, bytes) => {
                    holders[who].0.give_back(bytes);
                    holders[who].2 = holders[who].2.saturating_sub(bytes);
                }
                Act::Spool(who, bytes) => {
                    if holders[who].1.take(bytes) {
                        holders[who].3 += bytes;
                    }
                }
                Act::Unspool(who, bytes) => {
                    let bytes = bytes.min(holders[who].3);
                    holders[who].1.give_back(bytes);
                    holders[who].3 -= bytes;
                }
                Act::Drop(who) => holders[who] = (Memory::default(), Space::new(What::Body, &children[who % 2]), 0, 0),
            }
            let mut shares = 0;
            for number in [0, 1] {
                let mine = || holders.iter().skip(number).step_by(2);
                let facts = row(&board, number);
                prop_assert_eq!(facts.held_memory, mine().map(|holder| holder.2).sum::<u64>());
                prop_assert_eq!(facts.spooled, mine().map(|holder| holder.3).sum::<u64>());
                prop_assert!(facts.spooled <= bounds.spool);
                prop_assert!(facts.spooled <= facts.spool_share, "{} of {}", facts.spooled, facts.spool_share);
                prop_assert!(facts.spool_share < facts.spooled + 2 * STEP + 1, "{}", facts.spool_share);
                shares += facts.spool_share;
            }
            prop_assert!(shares <= bounds.server_spool);
        }
        drop(holders);
        for number in [0, 1] {
            let facts = row(&board, number);
            prop_assert_eq!((facts.held_memory, facts.spooled, facts.spool_share), (0, 0, 0));
        }
    }
}

#[test]
fn threads_that_hold_and_let_go_at_once_leave_nothing() {
    let bounds = Bounds { memory: 100_000, spool: 20 * STEP, server_spool: 30 * STEP };
    let board = board();
    let children = [0, 1].map(|number| child(&board, number, bounds));
    thread::scope(|scope| {
        for thread in 0..8 {
            let budget = &children[thread % 2];
            scope.spawn(move || {
                for round in 0..500_u64 {
                    let mut memory = Memory::default();
                    let space = Space::new(What::Body, budget);
                    let bytes = (round * 7919 + thread as u64) % (2 * STEP);
                    memory.take(bytes % 50_000, budget);
                    for piece in [bytes, bytes / 3, STEP] {
                        if space.take(piece) && piece % 2 == 0 {
                            space.give_back(piece);
                        }
                    }
                    memory.give_back(bytes % 10_000);
                }
            });
        }
    });
    for number in [0, 1] {
        let facts = row(&board, number);
        assert_eq!((facts.held_memory, facts.spooled, facts.spool_share), (0, 0, 0));
    }
}

#[test]
fn the_whole_share_of_the_server_can_be_had_to_the_last_byte() {
    let board = board();
    let budget = child(&board, 0, Bounds { memory: 0, spool: u64::MAX, server_spool: 2 * STEP + 5 });
    let space = Space::new(What::Body, &budget);
    assert!(space.take(2 * STEP));
    assert!(!space.take(6));
    assert!(space.take(5));
    assert!(!space.take(1));
}

#[test]
fn answers_leave_room_for_bodies_in_child_and_server() {
    let board = board();
    for (bounds, part) in [
        (Bounds { memory: 0, spool: 8 * STEP, server_spool: u64::MAX }, 2 * STEP),
        (Bounds { memory: 0, spool: u64::MAX, server_spool: 8 * STEP }, 2 * STEP),
    ] {
        let budget = child(&board, 0, bounds);
        let (answer, body) = (Space::new(What::Answer, &budget), Space::new(What::Body, &budget));
        assert!(answer.take(part));
        assert!(!answer.take(1));
        assert!(body.take(8 * STEP - part));
        assert!(!body.take(1));
        body.give_back(8 * STEP - part);
        drop(answer);
        assert!(Space::new(What::Answer, &budget).reserve(part));
    }
}

#[test]
fn an_answer_that_finds_no_more_room_keeps_others_from_looking_for_a_while() {
    let board = board();
    let budget = child(&board, 0, Bounds { memory: 0, spool: 32 * STEP, server_spool: u64::MAX });
    let (first, second) = (Space::new(What::Answer, &budget), Space::new(What::Answer, &budget));
    assert!(!second.reserve(9 * STEP) && second.take(1), "a refused reservation changes nothing");
    assert!(first.take(4 * STEP) && !second.take(4 * STEP));
    drop(first);
    assert!(!second.take(1));
    assert!(second.reserve(STEP), "what is going to be written whole may be");
    let body = Space::new(What::Body, &budget);
    assert!(body.take(20 * STEP));
    assert!(second.pass(STEP, &body) && !second.pass(STEP, &body));
    drop((second, body));
    assert_eq!((row(&board, 0).spooled, row(&board, 0).spool_share), (0, 0));
}
