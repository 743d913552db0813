"""The canary: what proves it, what ends its trial, and how many children its generation gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.policy.facts import ELASTIC, census, child, shape, template
from tricorn.policy.census import Band, Census, Child, ChildExit, ChildState, MemoryFacts
from tricorn.policy.lifecycle import decide
from tricorn.policy.memory import Memory, Phase
from tricorn.policy.orders import DropTemplate, Recall, ReloadDone, ReloadFailed, Rest, Retire

READY, DRAINING = ChildState.READY, ChildState.DRAINING
TRIAL = Memory(phase=Phase.SERVING, target=2, candidate=2)


def tried(canary: Child, now: float) -> Census:
    return census(child(0), child(1), template(), template(gen=2), canary, wanted=2, now=now)


@pytest.mark.parametrize(
    ("facts", "now", "proven"),
    [
        ({}, 10.9, False),
        ({}, 11.0, True),
        ({"requests": 1}, 10.0, True),
        ({"taken": 1}, 19.9, False),
        ({"taken": 1}, 20.0, True),
        ({"taken": 1, "requests": 1}, 10.0, True),
        ({"requests": 1, "silent_since": 10.0}, 10.0, False),
    ],
)
def test_ready_is_not_proof_enough(facts: dict[str, Any], now: float, proven: bool) -> None:
    decision = decide(TRIAL, tried(replace(child(0, gen=2, since=10.0), **facts), now))
    assert (ReloadDone(2) in decision.orders) is proven
    if not proven:
        assert decision.deadline is not None and decision.deadline <= now + 1.0


@pytest.mark.parametrize("was", [ChildState.STARTING, READY, DRAINING])
def test_a_canary_that_is_gone_has_failed(was: ChildState) -> None:
    gone = ChildExit(0, 2, was, reason="killed by SIGSEGV")
    decision = decide(TRIAL, census(child(0), child(1), template(), template(gen=2), gone, wanted=2))
    assert decision.orders == (ReloadFailed(2, "killed by SIGSEGV", 5), DropTemplate(2))
    assert decision.memory.children.strikes == 0


def test_the_new_generation_gets_as_many_units_as_the_old_one_had() -> None:
    wide = Band(unit=4, start=2, least=1, most=10, min_spare=4, max_spare=40)
    facts = census(
        *(child(slot, taken=1) for slot in range(30)), child(0, gen=2, requests=1), template(gen=2), wanted=2
    )
    facts = replace(facts, shapes={1: shape(ELASTIC), 2: shape(wide)}, limit=30)
    decision = decide(replace(TRIAL, target=30), facts)
    assert decision.memory.target == 8
    retired = [order for order in decision.orders if isinstance(order, Retire)]
    assert len(retired) == 2, "4 new units and 28 old ones are 32"


def test_without_room_for_both_the_old_one_goes_first_but_never_the_last() -> None:
    cramped = MemoryFacts(limit=100, used=95, child=10, reserve=0)
    memory = Memory(phase=Phase.SERVING, target=2, current=2, settled=2)
    facts = census(child(0), child(0, gen=2), template(gen=2), wanted=2, memory=cramped)
    assert decide(memory, facts).orders == (
        Retire(1, 0, "replaced by a reload; there is no room for its successor beside it"),
    )


def test_when_clients_ask_all_but_the_canary_the_others_rest_until_it_is_asked() -> None:
    old = (child(0, requests=5), child(1, requests=5), template(), template(gen=2))
    begun = decide(TRIAL, census(*old, child(0, gen=2, since=1.0), wanted=2))
    assert begun.orders == ()
    asked = (child(0, requests=9), child(1, requests=5), template(), template(gen=2))
    waits = decide(begun.memory, census(*asked, child(0, gen=2, since=1.0), wanted=2, now=1.9))
    assert waits.orders == (), "it has not stood for a second yet"
    way = decide(begun.memory, census(*asked, child(0, gen=2, since=1.0), wanted=2, now=2.1))
    assert {type(order) for order in way.orders} == {Rest}
    assert len(way.orders) == 2
    resting = (child(0, ChildState.RESTING, since=2.1, requests=9), child(1, ChildState.RESTING, since=2.1, requests=5))
    templates = (template(), template(gen=2))
    done = decide(way.memory, census(*resting, *templates, child(0, gen=2, since=1.0, requests=1), wanted=2, now=2.2))
    assert ReloadDone(2) in done.orders
    gone = ChildExit(0, 2, ChildState.READY, reason="exit code 7")
    back = decide(way.memory, census(*resting, *templates, gone, wanted=2, now=2.2))
    assert [order for order in back.orders if isinstance(order, ReloadFailed)]
    assert len([order for order in back.orders if isinstance(order, Recall)]) == 2
    late = decide(way.memory, census(*resting, *templates, child(0, gen=2, since=1.0), wanted=2, now=2.9))
    assert len([order for order in late.orders if isinstance(order, Recall)]) == 2, "nobody came: they serve again"
    again = decide(begun.memory, census(*asked, child(0, gen=2, since=1.0), wanted=2, now=4.1))
    assert {type(order) for order in again.orders} == {Rest}, "the moment comes again"
    believed = decide(begun.memory, census(*asked, child(0, gen=2, since=1.0), wanted=2, now=11.0))
    assert ReloadDone(2) in believed.orders, "in the end one that stands and is never asked is believed"
