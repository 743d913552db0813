"""One decision at a time: these facts, these orders."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.policy.facts import SHAPE, census, child, template
from tricorn.policy.census import Child, ChildExit, ChildState, Template, TemplateExit, TemplateState, Wish
from tricorn.policy.lifecycle import decide
from tricorn.policy.memory import Memory, Phase
from tricorn.policy.orders import (
    Announce,
    BackOff,
    DropTemplate,
    Exit,
    Kill,
    KillTemplate,
    ReloadDone,
    ReloadFailed,
    Retire,
    Spawn,
    StartTemplate,
    StopListening,
)

STARTING, READY, DRAINING = ChildState.STARTING, ChildState.READY, ChildState.DRAINING
SERVING = Memory(phase=Phase.SERVING, target=2)


# Starting.


def test_the_first_order_is_a_template() -> None:
    assert decide(Memory(), census()).orders == (StartTemplate(1, preload=True),)


def test_while_it_imports_there_is_nothing_to_do_until_its_deadline() -> None:
    decision = decide(Memory(), census(template(TemplateState.IMPORTING, since=1), now=1))
    assert (decision.orders, decision.deadline) == ((), 61.0)


def test_an_import_has_its_time() -> None:
    (order,) = decide(Memory(), census(template(TemplateState.IMPORTING), now=60)).orders
    assert isinstance(order, KillTemplate)


def test_a_ready_template_forks_all_children() -> None:
    reason = "the server starts with 2 of them"
    assert decide(Memory(), census(template())).orders == (Spawn(1, 0, reason), Spawn(1, 1, reason))


def test_the_server_is_announced_when_all_children_are_ready_and_not_before() -> None:
    one = decide(Memory(), census(template(), child(0), child(1, STARTING)))
    assert one.orders == ()
    both = decide(one.memory, census(template(), child(0), child(1)))
    assert both.orders == (Announce(1),)
    assert both.memory.phase is Phase.SERVING


def test_an_application_that_cannot_be_imported_ends_the_start_with_its_code() -> None:
    gone = TemplateExit(1, TemplateState.IMPORTING, failure=3, reason="no module")
    assert decide(Memory(), census(gone)).orders == (Exit(3, "no module"),)


def test_a_child_that_dies_at_the_start_takes_the_others_along_gracefully() -> None:
    decision = decide(Memory(), census(template(), child(0), ChildExit(1, 1, STARTING, reason="killed by SIGSEGV")))
    assert decision.orders == (StopListening(), Retire(1, 0, "the server stops", sweep=True), DropTemplate(1))
    assert decide(decision.memory, census()).orders == (Exit(5, "killed by SIGSEGV"),)


def test_an_unsafe_template_is_followed_by_one_that_does_not_import() -> None:
    gone = TemplateExit(1, TemplateState.IMPORTING, unsafe=True)
    decision = decide(Memory(), census(gone))
    assert decision.orders == (StartTemplate(1, preload=False),)
    again = decide(replace(decision.memory, phase=Phase.SERVING), census(TemplateExit(1, TemplateState.READY)))
    assert again.orders == (StartTemplate(1, preload=False),), "and so are its successors"


# Serving.


def test_a_dead_child_is_replaced_at_once_in_a_free_slot() -> None:
    decision = decide(SERVING, census(template(), child(1), ChildExit(0, 1, READY, reason="killed by SIGSEGV")))
    assert decision.orders == (Spawn(1, 0, "child 0 is gone: killed by SIGSEGV"),)


def test_a_draining_child_keeps_its_slot_and_has_a_successor() -> None:
    orders = decide(SERVING, census(template(), child(0, DRAINING), child(1))).orders
    assert orders == (Spawn(1, 2, "1 of 2 children are there"),)


def test_without_a_free_slot_nothing_is_forked() -> None:
    members = [child(slot, DRAINING) for slot in range(SHAPE.slots)]
    assert decide(SERVING, census(template(), *members)).orders == ()


def test_a_crash_loop_waits_and_says_so() -> None:
    memory = SERVING
    for moment in (1.0, 1.25):
        memory = decide(memory, census(template(), child(1), ChildExit(0, 1, STARTING), now=moment)).memory
    decision = decide(memory, census(template(), child(1), ChildExit(0, 1, STARTING), now=1.5))
    assert decision.orders == (BackOff(1, 1.0, 3),)
    assert decision.deadline == 2.5
    orders = decide(decision.memory, census(template(), child(1), now=2.5)).orders
    assert orders == (Spawn(1, 0, "1 of 2 children are there"),)


def test_a_child_that_ends_because_of_a_late_request_is_replaced_at_once_however_often() -> None:
    memory = SERVING
    for moment in range(60, 60 * 20, 60):
        late = ChildExit(0, 1, READY, reason="a request took longer than timeout", overdue=60.0)
        decision = decide(memory, census(template(), child(1), late, late, late, now=float(moment)))
        assert decision.orders == (Spawn(1, 0, "child 0 is gone: a request took longer than timeout"),)
        assert decision.memory.children.strikes == 0
        memory = decision.memory


def test_a_child_that_says_so_too_early_is_a_crash() -> None:
    for overdue, timeout in [(29.0, 60.0), (1e6, 0.0)]:
        counted = census(template(), child(1), ChildExit(0, 1, READY, overdue=overdue))
        counted = replace(counted, shapes={1: replace(SHAPE, timeout=timeout)})
        assert decide(SERVING, counted).memory.children.strikes == 1


def test_who_leaves_as_ordered_is_no_crash() -> None:
    decision = decide(SERVING, census(template(), child(1), ChildExit(0, 1, DRAINING)))
    assert decision.memory.children.strikes == 0


def test_a_child_that_was_never_forked_is_no_crash_of_its_own() -> None:
    gone = ChildExit(0, 1, STARTING, forked=False)
    assert decide(SERVING, census(template(), child(1), gone)).memory.children.strikes == 0


def test_a_dead_template_is_replaced_and_children_are_left_alone() -> None:
    decision = decide(SERVING, census(child(0), child(1), TemplateExit(1, TemplateState.READY)))
    assert decision.orders == (StartTemplate(1, preload=True),)


def test_a_child_that_is_not_ready_in_time_is_killed() -> None:
    (kill,) = decide(SERVING, census(template(), child(0), child(1, STARTING, since=0), now=60)).orders
    assert isinstance(kill, Kill) and kill.slot == 1


def test_a_child_that_does_not_leave_in_time_is_killed_once() -> None:
    members: list[Child | Template] = [template(), child(0), child(1), child(2, DRAINING, since=0)]
    (kill,) = decide(SERVING, census(*members, now=30)).orders
    assert isinstance(kill, Kill) and kill.slot == 2
    members[-1] = child(2, DRAINING, since=30, killed=True)
    assert decide(SERVING, census(*members, now=31)).orders == ()


# Reloading.


def test_a_reload_tries_a_template_then_a_canary_then_replaces_one_by_one() -> None:
    old = (template(), child(0), child(1))
    first = decide(SERVING, census(*old, wanted=2))
    assert first.orders == (StartTemplate(2, preload=True),)
    second = decide(first.memory, census(*old, template(gen=2), wanted=2))
    assert second.orders == (Spawn(2, 0, "the first child of a new generation"),)
    waiting = decide(second.memory, census(*old, template(gen=2), child(0, STARTING, gen=2), wanted=2))
    assert waiting.orders == ()
    promoted = decide(waiting.memory, census(*old, template(gen=2), child(0, gen=2), wanted=2))
    assert promoted.orders == (
        ReloadDone(2),
        DropTemplate(1),
        Spawn(2, 1, "generation 2 takes over"),
        Retire(1, 0, "replaced by a reload"),
    )
    rolling = census(template(TemplateState.DROPPED), child(0, DRAINING), child(1), template(gen=2), child(0, gen=2))
    rolling = replace(rolling, wanted=2, children=(*rolling.children, child(1, STARTING, gen=2)))
    assert decide(promoted.memory, rolling).orders == ()
    last = census(child(1), template(gen=2), child(0, gen=2), child(1, gen=2), wanted=2)
    assert decide(promoted.memory, last).orders == (Retire(1, 1, "replaced by a reload"),)


def test_an_old_child_that_still_starts_is_retired_before_one_that_serves() -> None:
    memory = replace(SERVING, candidate=2)
    members = (template(), child(0), child(1, STARTING, since=1), template(gen=2), child(0, gen=2))
    orders = decide(memory, census(*members, wanted=2)).orders
    assert [order for order in orders if isinstance(order, Retire)] == [Retire(1, 1, "replaced by a reload")]


def test_a_canary_that_dies_changes_nothing() -> None:
    memory = replace(SERVING, candidate=2)
    gone = ChildExit(0, 2, STARTING, reason="exit code 3")
    decision = decide(memory, census(template(), child(0), child(1), template(gen=2), gone, wanted=2))
    assert decision.orders == (ReloadFailed(2, "exit code 3", 5), DropTemplate(2))
    assert (decision.memory.current, decision.memory.candidate) == (1, None)
    after = decide(decision.memory, census(template(), child(0), child(1), wanted=2))
    assert after.orders == (), "the same generation is not tried again"


def test_a_newer_reload_waits_for_the_trial_that_goes_on_and_those_between_are_never_tried() -> None:
    memory = replace(SERVING, candidate=2)
    importing = template(TemplateState.IMPORTING, gen=2)
    decision = decide(memory, census(template(), child(0), child(1), importing, wanted=5))
    assert decision.orders == ()
    gone = TemplateExit(2, TemplateState.IMPORTING, reason="no module")
    after = decide(decision.memory, census(template(), child(0), child(1), gone, wanted=5))
    assert after.orders == (ReloadFailed(2, "no module", 5), StartTemplate(5, preload=True))
    assert after.memory.candidate == 5


# Stopping.


def test_a_stop_retires_everyone_and_leaves_when_all_are_gone() -> None:
    decision = decide(SERVING, census(template(), child(0), child(1, STARTING), wish=Wish.STOP))
    assert [type(order) for order in decision.orders] == [StopListening, Retire, Retire, DropTemplate]
    assert decision.deadline == 31.0
    assert decide(decision.memory, census(wish=Wish.STOP)).orders == (Exit(0, "asked to stop"),)


def test_whoever_is_left_at_the_deadline_is_killed() -> None:
    decision = decide(SERVING, census(child(0, DRAINING, since=1.0), wish=Wish.STOP))
    late = decide(decision.memory, census(child(0, DRAINING, since=1.0), now=31.0, wish=Wish.STOP))
    assert late.orders == (Kill(1, 0, "graceful_timeout is over"),)


def test_a_stop_at_once_kills_and_does_not_wait_for_ever() -> None:
    decision = decide(SERVING, census(template(), child(0), wish=Wish.STOP_AT_ONCE))
    assert [type(order) for order in decision.orders] == [Kill, KillTemplate]
    stuck = census(child(0, killed=True), now=6.0, wish=Wish.STOP_AT_ONCE)
    (order,) = decide(decision.memory, stuck).orders
    assert isinstance(order, Exit)


def test_a_stop_during_a_reload_ends_the_trial_too() -> None:
    memory = replace(SERVING, candidate=2)
    members = (template(), child(0), child(1), template(gen=2), child(0, STARTING, gen=2))
    orders = decide(memory, census(*members, wanted=2, wish=Wish.STOP)).orders
    assert Retire(2, 0, "the server stops", sweep=True) in orders
    assert DropTemplate(2) in orders


def test_a_template_that_does_not_tell_of_deaths_is_killed() -> None:
    memory = SERVING
    dead = replace(child(0, since=0.0), silent_since=10.0)
    others = (child(1), template())
    assert decide(memory, census(dead, *others, now=14.9)).orders == ()
    assert decide(memory, census(dead, *others, now=14.9)).deadline == 15.0
    assert decide(memory, census(dead, *others, now=15.0)).orders == (
        Kill(1, 0, "its channel is closed, so it cannot be told anything"),
    )
    killed = replace(dead, killed=True, since=15.0)
    assert not [order for order in decide(memory, census(killed, *others, now=19.9)).orders if _is_kill(order)]
    assert (
        KillTemplate(1, "child 0 was killed, and it does not tell of its end")
        in decide(memory, census(killed, *others, now=20.0)).orders
    )
    orphan = replace(killed, orphaned=True)
    assert not [order for order in decide(memory, census(orphan, *others, now=20.0)).orders if _is_kill(order)]


def _is_kill(order: object) -> bool:
    return isinstance(order, Kill | KillTemplate)
