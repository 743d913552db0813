"""Who is replaced although it serves, and who goes when memory is short."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.policy.facts import ELASTIC, FIXED, census, child, shape, template
from tricorn.policy.census import ChildExit, ChildState, MemoryFacts
from tricorn.policy.lifecycle import decide
from tricorn.policy.memory import Memory, Phase
from tricorn.policy.orders import NoRoom, Recall, Retire, Spawn
from tricorn.policy.wear import life_over

STARTING, RESTING, DRAINING = ChildState.STARTING, ChildState.RESTING, ChildState.DRAINING
SERVING = Memory(phase=Phase.SERVING, target=2)
ASKED = "max_requests_per_child is reached"
MIB = 1 << 20


def test_a_worn_child_has_a_successor_first_and_then_the_next_one_is_replaced() -> None:
    both = (child(0, asked=ASKED), child(1, asked=ASKED), template())
    first = decide(SERVING, census(*both))
    assert first.orders == (Spawn(1, 2, f"is to replace child 0: {ASKED}"),)
    assert decide(first.memory, census(*both, child(2, STARTING))).orders == ()
    second = decide(first.memory, census(*both, child(2)))
    assert second.orders == (Retire(1, 0, ASKED),)
    drains = (child(0, DRAINING, since=1.0), child(1, asked=ASKED), child(2), template())
    assert decide(second.memory, census(*drains, now=5.9)).orders == (), "the last one is on its way"
    assert decide(second.memory, census(*drains, now=5.9)).deadline == 6.0
    assert decide(second.memory, census(*drains, now=6.0)).orders == (Spawn(1, 3, f"is to replace child 1: {ASKED}"),)
    gone = census(*drains[1:], ChildExit(0, 1, DRAINING), now=2.0)
    assert decide(second.memory, gone).orders == (Spawn(1, 0, f"is to replace child 1: {ASKED}"),)


def test_a_server_of_one_child_has_a_successor_first_too() -> None:
    one = replace(FIXED, start=1, least=1, most=1)
    decision = decide(replace(SERVING, target=1), census(child(0, asked=ASKED), template(), shape=shape(one)))
    assert [type(order) for order in decision.orders] == [Spawn]


def test_the_biggest_goes_first_and_then_the_oldest() -> None:
    limits = shape(replace(FIXED, start=3, least=3, most=3), lifetime=100.0, child_memory=10 * MIB)
    members = (child(0), child(1, memory=11 * MIB), child(2, memory=12 * MIB, since=200.0), template())
    (spawn,) = decide(replace(SERVING, target=3), census(*members, now=201.0, shape=limits)).orders
    assert spawn == Spawn(1, 3, "is to replace child 2: it has 12.0 MiB of its own, max_child_memory is 10.0 MiB")


def test_every_child_has_its_own_lifetime_within_the_last_tenth() -> None:
    limits = shape(ELASTIC, lifetime=100.0)
    ends = [life_over(child(slot, born=5.0, since=50.0), census(shape=limits)) for slot in range(20)]
    assert all(end is not None and 95.0 <= end <= 105.0 for end in ends)
    assert len(set(ends)) == len(ends)


def test_a_lifetime_is_a_deadline() -> None:
    limits = shape(FIXED, lifetime=100.0)
    facts = census(child(0, born=0.0), child(1, born=0.0), template(), shape=limits)
    deadline = decide(SERVING, facts).deadline
    assert deadline is not None and 90 <= deadline <= 100
    (spawn,) = decide(SERVING, replace(facts, now=deadline)).orders
    assert isinstance(spawn, Spawn) and "max_child_lifetime is 100 s" in spawn.reason


def test_without_room_for_two_the_worn_one_goes_first() -> None:
    members = (child(0, asked=ASKED), child(1), template())
    cramped = MemoryFacts(limit=100, used=95, child=10, reserve=0)
    orders = decide(SERVING, census(*members, memory=cramped)).orders
    assert orders == (Retire(1, 0, f"{ASKED}; there is no room for its successor beside it"), NoRoom(cramped))


def test_a_resting_child_takes_the_place_of_a_worn_one() -> None:
    members = (
        child(0, asked=ASKED, taken=1),
        child(1, taken=1),
        child(2),
        child(3, RESTING, connections=1),
        template(),
    )
    memory = replace(SERVING, target=3)
    band = replace(ELASTIC, min_spare=1)
    assert decide(memory, census(*members, shape=shape(band))).orders == (
        Recall(1, 3, f"is to replace child 0: {ASKED}"),
    )


def test_over_the_limit_the_largest_goes_and_its_successor_waits_for_room() -> None:
    members = (child(0, memory=30 * MIB), child(1, memory=50 * MIB), template())
    over = MemoryFacts(limit=100 * MIB, used=101 * MIB, child=20 * MIB, reserve=0)
    first = decide(SERVING, census(*members, memory=over))
    reason = "the server uses 101.0 MiB of memory_limit 100.0 MiB; this child has 50.0 MiB of that"
    assert first.orders == (Retire(1, 1, reason), NoRoom(over))
    drains = (child(0, memory=30 * MIB), child(1, DRAINING, since=1.0), template())
    assert decide(first.memory, census(*drains, memory=over)).orders == ()
    gone = (child(0, memory=30 * MIB), template(), ChildExit(1, 1, DRAINING))
    after = decide(first.memory, census(*gone, memory=over))
    assert after.orders == (), "one child always lives"
    room = replace(over, used=51 * MIB)
    assert [type(order) for order in decide(after.memory, census(*gone[:2], memory=room)).orders] == [Spawn]


def test_nobody_serves_so_one_is_forked_in_any_case() -> None:
    over = MemoryFacts(limit=100, used=101, child=10, reserve=0)
    orders = decide(SERVING, census(template(), memory=over)).orders
    assert [type(order) for order in orders] == [NoRoom, Spawn]


def test_a_child_that_serves_alone_is_replaced_when_it_takes_too_much_room_or_not() -> None:
    memory, one = replace(SERVING, target=1), shape(replace(FIXED, start=1, least=1, most=1))
    tight = MemoryFacts(limit=100, used=150, child=100, reserve=10)
    alone = child(0, memory=140, born=-10.0)
    decision = decide(memory, census(template(), alone, memory=tight, shape=one))
    spawned = [order for order in decision.orders if isinstance(order, Spawn)]
    assert [order.reason.endswith("and this child serves alone") for order in spawned] == [True]
    served = decide(decision.memory, census(template(), alone, child(1, memory=1), memory=tight, shape=one))
    assert [order.slot for order in served.orders if isinstance(order, Retire)] == [0]
    young = decide(memory, census(template(), child(0, memory=140, born=99.0), memory=tight, shape=one, now=100.0))
    assert not [order for order in young.orders if isinstance(order, Spawn)], "else none would ever serve"


def test_where_fewer_children_fit_than_are_wanted_the_last_one_is_replaced_all_the_same() -> None:
    memory, tight = replace(SERVING, target=4), MemoryFacts(limit=100, used=150, child=100, reserve=10)
    alone = child(0, memory=140, born=-10.0)
    decision = decide(memory, census(template(), alone, memory=tight))
    assert [type(order) for order in decision.orders] == [NoRoom, Spawn]
    starts = decide(decision.memory, census(template(), alone, child(1, STARTING), memory=tight))
    assert starts.orders == (), "the successor first, and only one"
    served = decide(starts.memory, census(template(), alone, child(1, memory=1), memory=tight))
    assert [order.slot for order in served.orders if isinstance(order, Retire)] == [0]


def test_where_fewer_children_fit_than_are_wanted_worn_ones_are_replaced_all_the_same() -> None:
    memory, tight = replace(SERVING, target=4), MemoryFacts(limit=100, used=95, child=10, reserve=10)
    two = (child(0, memory=40, asked=ASKED), child(1, memory=40), template())
    decision = decide(memory, census(*two, memory=tight))
    assert Retire(1, 0, f"{ASKED}; there is no room for its successor beside it") in decision.orders
    last = decide(memory, census(child(0, memory=80, asked=ASKED), template(), memory=tight))
    assert [type(order) for order in last.orders] == [NoRoom, Spawn], "who serves alone has a successor in any case"
    served = decide(last.memory, census(child(0, memory=80, asked=ASKED), child(1), template(), memory=tight))
    assert [order.slot for order in served.orders if isinstance(order, Retire)] == [0]
