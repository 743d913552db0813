"""Stops: with a delay, without one, by force, and for another parent's sake."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.policy.facts import SHAPE, census, child, template
from tricorn.policy.census import ChildExit, ChildState, TemplateState, Wish
from tricorn.policy.lifecycle import decide
from tricorn.policy.memory import Memory, Phase
from tricorn.policy.orders import DropTemplate, Kill, Part, Retire, Spawn, StopListening

STARTING, RESTING = ChildState.STARTING, ChildState.RESTING
SERVING = Memory(phase=Phase.SERVING, target=2)
SLOW = replace(SHAPE, drain_delay=5.0)
REASON = "the server stops"


def test_with_a_delay_everyone_parts_and_later_everyone_sweeps() -> None:
    members = (child(0), child(1), template())
    parting = decide(SERVING, census(*members, wish=Wish.STOP, shape=SLOW))
    assert parting.orders == (Part(1, 0), Part(1, 1))
    assert parting.deadline == 6.0
    assert decide(parting.memory, census(*members, now=5.9, wish=Wish.STOP, shape=SLOW)).orders == ()
    over = decide(parting.memory, census(*members, now=6.0, wish=Wish.STOP, shape=SLOW))
    assert over.orders == (
        StopListening(),
        Retire(1, 0, REASON, sweep=True),
        Retire(1, 1, REASON, sweep=True),
        DropTemplate(1),
    )
    assert over.memory.stop_by == 36.0, "graceful_timeout counts from the end of the delay"


def test_who_does_not_serve_when_the_parting_begins_is_retired() -> None:
    members = (child(0), child(1, STARTING), child(2, RESTING), template())
    orders = decide(SERVING, census(*members, wish=Wish.STOP, shape=SLOW)).orders
    assert orders == (Retire(1, 1, REASON), Retire(1, 2, REASON), Part(1, 0))


def test_who_crashes_while_parting_has_a_successor_that_parts_too() -> None:
    begun = decide(SERVING, census(child(0), child(1), template(), wish=Wish.STOP, shape=SLOW))
    gone = census(child(1), template(), ChildExit(0, 1, ChildState.READY), now=2.0, wish=Wish.STOP, shape=SLOW)
    crashed = decide(begun.memory, gone)
    assert crashed.orders == (Spawn(1, 0, "1 of 2 children are left, and drain_delay is not over"),)
    ready = census(child(0), child(1), template(), now=2.1, wish=Wish.STOP, shape=SLOW)
    assert decide(crashed.memory, ready).orders == (Part(1, 0),)


def test_only_a_template_that_could_fork_is_kept_while_parting() -> None:
    members = (child(0), template(), child(0, gen=2), template(gen=2))
    orders = decide(replace(SERVING, candidate=2), census(*members, wanted=2, wish=Wish.STOP, shape=SLOW)).orders
    assert orders == (Part(1, 0), Part(2, 0), DropTemplate(2))


def test_a_hand_over_neither_parts_nor_sweeps() -> None:
    members = (child(0), child(1), template())
    decision = decide(SERVING, census(*members, wish=Wish.HAND_OVER, shape=SLOW))
    assert decision.orders == (Retire(1, 0, REASON), Retire(1, 1, REASON), DropTemplate(1))
    later = decide(decision.memory, census(child(2), wish=Wish.STOP, shape=SLOW))
    assert later.orders == (Retire(1, 2, REASON),), "the sockets are the other's, whatever comes"


def test_a_stop_at_once_ends_the_parting() -> None:
    begun = decide(SERVING, census(child(0), template(), wish=Wish.STOP, shape=SLOW))
    decision = decide(begun.memory, census(child(0), wish=Wish.STOP_AT_ONCE, shape=SLOW))
    assert decision.orders == (Kill(1, 0, "told to stop at once"),)


def test_a_start_that_is_stopped_has_nobody_to_part_from() -> None:
    importing = template(TemplateState.IMPORTING)
    orders = decide(Memory(), census(importing, child(0), wish=Wish.STOP, shape=SLOW)).orders
    assert not any(isinstance(order, Part) for order in orders)
