"""One decision of sizing at a time; whole loads are in tests/property/test_policy_sizing.py."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.policy.facts import ELASTIC, FIXED, census, child, shape, template
from tricorn.policy.census import Census, ChildState, MemoryFacts
from tricorn.policy.lifecycle import decide
from tricorn.policy.memory import Memory, Phase, Tide
from tricorn.policy.orders import AtLimit, NoRoom, Rest, Retire, Spawn
from tricorn.policy.respawn import Respawn

STARTING, RESTING = ChildState.STARTING, ChildState.RESTING
SERVING = Memory(phase=Phase.SERVING, target=4)
LONG_SURPLUS = Tide(surplus_since=0.0, enough_since=0.0)


def four(*taken: int, now: float = 100.0, limit: int | None = None, memory: MemoryFacts | None = None) -> Census:
    children = [child(slot, taken=units) for slot, units in enumerate(taken)]
    return census(template(), *children, now=now, limit=limit, memory=memory, shape=shape(ELASTIC))


def test_one_unit_too_few_is_one_child_with_the_reason() -> None:
    decision = decide(SERVING, four(1, 1, 1, 0))
    assert decision.orders == (Spawn(1, 4, "1 unit is idle of 4, min_spare is 2"),)
    assert decision.memory.target == 5


def test_enough_is_left_alone_and_watched() -> None:
    decision = decide(SERVING, four(1, 1, 0, 0))
    assert (decision.orders, decision.deadline, decision.watch) == ((), None, 2)


def test_a_fixed_pool_is_never_changed_and_watched_only_to_tell_that_it_is_full() -> None:
    memory = replace(SERVING, target=2)
    decision = decide(memory, census(template(), child(0, taken=1), child(1)))
    assert (decision.orders, decision.deadline, decision.watch) == ((), None, 1)
    full = decide(memory, census(template(), child(0, taken=1), child(1, taken=1)))
    assert full.orders == (AtLimit(children=2, units=2, taken=2),)


def test_the_limit_is_told_once_a_minute_with_what_is_taken() -> None:
    first = decide(SERVING, four(1, 1, 1, 0, limit=4))
    assert first.orders == (AtLimit(children=4, units=4, taken=3),)
    soon = decide(first.memory, four(1, 1, 1, 1, now=159.9, limit=4))
    assert (soon.orders, soon.deadline, soon.watch) == ((), 160.0, 0)
    assert len(decide(soon.memory, four(1, 1, 1, 1, now=160.0, limit=4)).orders) == 1


def test_growth_leaves_the_reserve_of_a_reload() -> None:
    enough = MemoryFacts(limit=100, used=70, child=10, reserve=20)
    assert [type(order) for order in decide(SERVING, four(1, 1, 1, 0, memory=enough)).orders] == [Spawn]
    short = replace(enough, used=71)
    first = decide(SERVING, four(1, 1, 1, 0, memory=short))
    assert first.orders == (NoRoom(short),)
    assert decide(first.memory, four(1, 1, 1, 0, now=101.0, memory=short)).orders == ()


def test_a_crash_series_rules_over_growth() -> None:
    backing_off = replace(SERVING, children=Respawn(strikes=9, crashes=9, last=99.0, not_before=130.0))
    decision = decide(backing_off, four(1, 1, 1, 1))
    assert (decision.orders, decision.memory.target, decision.deadline) == ((), 4, 130.0)


def test_the_emptiest_rests_and_the_youngest_among_equals() -> None:
    band = replace(ELASTIC, max_spare=3)
    members = (
        child(0, taken=1),
        child(1, connections=1),
        child(2, born=1.0),
        child(3, born=2.0),
        child(4, connections=2),
        template(),
    )
    memory = replace(SERVING, target=5, tide=LONG_SURPLUS)
    (rest,) = decide(memory, census(*members, now=100.0, shape=shape(band))).orders
    assert rest == Rest(1, 3, "4 units are idle of 5, max_spare is 3")


def test_a_smaller_limit_is_obeyed_at_once_and_who_only_starts_goes_first() -> None:
    members = (child(0), child(1, taken=1), child(2, taken=1), child(3, STARTING), template())
    orders = decide(SERVING, census(*members, limit=2, shape=shape(ELASTIC))).orders
    reason = "fewer children are wanted"
    assert orders == (Retire(1, 3, reason), Rest(1, 0, reason))


def test_a_fixed_pool_follows_the_operator() -> None:
    members = (child(0), child(1), template())
    orders = decide(replace(SERVING, target=2), census(*members, limit=3, shape=shape(FIXED))).orders
    assert [type(order) for order in orders] == [Spawn]


def test_who_rests_leaves_when_it_is_empty_or_when_its_time_is_over() -> None:
    def orders(now: float, connections: int) -> tuple[object, ...]:
        members = (*(child(slot) for slot in range(4)), child(4, RESTING, since=100.0, connections=connections))
        return decide(SERVING, census(template(), *members, now=now, shape=shape(ELASTIC))).orders

    assert orders(100.9, 0) == ()
    assert orders(101.0, 0) == (Retire(1, 4, "has rested for 1 s and has no connection left"),)
    assert orders(129.9, 1) == ()
    assert orders(130.0, 1) == (Retire(1, 4, "has rested for 30 s (graceful_timeout)"),)


def test_one_rests_at_a_time_and_only_if_enough_is_left() -> None:
    band = replace(ELASTIC, max_spare=3)
    memory = replace(SERVING, target=5, tide=LONG_SURPLUS)
    five = [child(slot) for slot in range(5)]
    another = child(5, RESTING, since=99.5, connections=1)
    facts = census(template(), *five, another, now=100.0, shape=shape(band))
    assert decide(memory, facts).orders == ()
    wide = replace(ELASTIC, unit=4, min_spare=4, max_spare=6)
    facts = census(template(), child(0), child(1), child(2, taken=4), now=100.0, shape=shape(wide))
    assert [type(order) for order in decide(replace(memory, target=3), facts).orders] == [Rest]
    facts = census(template(), child(0), child(1, taken=1), child(2, taken=4), now=100.0, shape=shape(wide))
    assert decide(replace(memory, target=3), facts).orders == (), "3 would be left, and min_spare is 4"


def test_requests_that_wait_are_demand_that_units_do_not_show() -> None:
    two_wait = four(1, 1, 0, 0)
    busiest = next(one for one in two_wait.children if one.slot == 0)
    waiting = tuple(replace(one, waiting=2) if one is busiest else one for one in two_wait.children)
    decision = decide(SERVING, replace(two_wait, children=waiting))
    assert decision.memory.target == 5, "2 are idle, and will be taken by those who wait; 2 should be spare"
    assert decision.orders == (Spawn(1, 4, "2 units are idle of 4, 2 more are waited for, min_spare is 2"),)
