"""The policy against a make-believe world in which anybody may die at any moment and the operator asks for anything."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tricorn.policy.census import (
    Census,
    Child,
    ChildExit,
    ChildState,
    Shape,
    Template,
    TemplateExit,
    TemplateState,
    Wish,
)
from tricorn.policy.lifecycle import decide
from tricorn.policy.memory import Memory, Phase
from tricorn.policy.orders import (
    Announce,
    DropTemplate,
    Exit,
    Kill,
    KillTemplate,
    Order,
    ReloadDone,
    Retire,
    Spawn,
    StartTemplate,
)

GRACEFUL, START = 30.0, 60.0


class World(RuleBasedStateMachine):
    """Performs what the policy orders, and lets things happen in between."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.memory = Memory()
        self.wish = Wish.SERVE
        self.wanted = 1
        self.shapes: dict[int, Shape] = {}
        self.templates: dict[int, Template] = {}
        self.children: dict[tuple[int, int], Child] = {}
        self.exits: list[ChildExit | TemplateExit] = []
        self.exited: Exit | None = None
        self.deadline: float | None = None
        self.announced = False

    @initialize(children=st.integers(1, 4), comes_up=st.sampled_from([True, True, True, False]))
    def begin(self, children: int, comes_up: bool) -> None:
        self.shapes[1] = self._shape(children)
        self._settle()
        if comes_up:
            self.a_template_is_ready(0)
            for _ in range(children):
                self.a_child_is_ready(0)
            assert self.announced

    def _is_over(self) -> bool:
        return self.exited is not None

    def _shape(self, children: int) -> Shape:
        return Shape(children, 2 * children, START, GRACEFUL, preload=True)

    def _settle(self) -> None:
        """What the parent's loop does between two waits."""
        for _ in range(50):
            if self.exited is not None:
                return
            exits, self.exits = tuple(self.exits), []
            templates, children = tuple(self.templates.values()), tuple(self.children.values())
            facts = Census(self.now, self.wish, self.wanted, dict(self.shapes), templates, children, exits)
            serving_before = self._serving()
            decision = decide(self.memory, facts)
            self.memory, self.deadline = decision.memory, decision.deadline
            for order in decision.orders:
                self._perform(order)
            if self.wish is Wish.SERVE and self.memory.phase is Phase.SERVING:
                least = min(serving_before, self.shapes[self.memory.current].children)
                assert self._serving() >= least, "a decision must not take serving children below their number"
            if not decision.orders:
                return
        raise AssertionError("the policy never comes to rest")

    def _serving(self) -> int:
        return sum(child.state is ChildState.READY and not child.killed for child in self.children.values())

    def _perform(self, order: Order) -> None:
        match order:
            case StartTemplate(generation, _):
                assert generation not in self.templates, "one template per generation"
                self.templates[generation] = Template(generation, TemplateState.IMPORTING, self.now, killed=False)
            case DropTemplate(generation):
                assert self.templates[generation].state is TemplateState.READY
                self.templates[generation] = replace(self.templates[generation], state=TemplateState.DROPPED)
            case KillTemplate(generation, _):
                assert not self.templates[generation].killed, "nobody is killed twice"
                self.templates[generation] = replace(self.templates[generation], killed=True)
            case Spawn(generation, slot):
                assert (generation, slot) not in self.children, "a slot has one child"
                assert slot < self.shapes[generation].slots
                template = self.templates[generation]
                assert template.state is TemplateState.READY and not template.killed
                self.children[generation, slot] = Child(slot, generation, ChildState.STARTING, self.now, killed=False)
            case Retire(generation, slot, _):
                child = self.children[generation, slot]
                assert child.state is not ChildState.DRAINING and not child.killed
                self.children[generation, slot] = replace(child, state=ChildState.DRAINING, since=self.now)
            case Kill(generation, slot, _):
                assert not self.children[generation, slot].killed, "nobody is killed twice"
                self.children[generation, slot] = replace(self.children[generation, slot], killed=True)
            case Exit():
                self.exited = order
            case Announce(generation):
                assert generation == 1 and not self.announced
                self.announced = True
                assert self._serving() >= self.shapes[1].children
            case ReloadDone(generation):
                assert any(
                    child.generation == generation and child.state is ChildState.READY
                    for child in self.children.values()
                )
            case _:
                pass

    # What may happen.

    @rule()
    def what_was_ordered_works(self) -> None:
        self.a_template_is_ready(0)
        self.a_child_is_ready(0)

    @rule(which=st.integers(0, 20))
    def a_template_is_ready(self, which: int) -> None:
        importing = [t for t in self.templates.values() if t.state is TemplateState.IMPORTING and not t.killed]
        if importing:
            chosen = importing[which % len(importing)]
            self.templates[chosen.generation] = replace(chosen, state=TemplateState.READY, since=self.now)
            self._settle()

    @rule(which=st.integers(0, 20))
    def a_child_is_ready(self, which: int) -> None:
        starting = [c for c in self.children.values() if c.state is ChildState.STARTING and not c.killed]
        if starting:
            chosen = starting[which % len(starting)]
            self.children[chosen.generation, chosen.slot] = replace(chosen, state=ChildState.READY, since=self.now)
            self._settle()

    @rule(which=st.integers(0, 20))
    def a_child_leaves_of_its_own_accord(self, which: int) -> None:
        ready = [c for c in self.children.values() if c.state is ChildState.READY]
        if ready:
            chosen = ready[which % len(ready)]
            self.children[chosen.generation, chosen.slot] = replace(chosen, state=ChildState.DRAINING, since=self.now)
            self._settle()

    @rule(which=st.integers(0, 20))
    def a_child_dies(self, which: int) -> None:
        # While the server starts, a death may end it; that is tested case by case.
        if self.children and self.memory.phase is not Phase.STARTING:
            slot, child = list(self.children.items())[which % len(self.children)]
            del self.children[slot]
            self.exits.append(ChildExit(child.slot, child.generation, child.state, reason="killed"))
            self._settle()

    @rule(which=st.integers(0, 20), unsafe=st.booleans())
    def a_template_dies(self, which: int, unsafe: bool) -> None:
        if self.templates and self.memory.phase is not Phase.STARTING:
            template = list(self.templates.values())[which % len(self.templates)]
            del self.templates[template.generation]
            unsafe = unsafe and template.state is TemplateState.IMPORTING
            self.exits.append(TemplateExit(template.generation, template.state, unsafe=unsafe, reason="killed"))
            self._settle()

    @rule(seconds=st.floats(0.01, 100.0))
    def time_passes(self, seconds: float) -> None:
        """Until then or until the deadline, whichever is first: the loop is never later than that."""
        later = self.now + seconds
        self.now = later if self.deadline is None else min(later, max(self.now, self.deadline))
        self._settle()

    @rule()
    def the_killed_are_reaped(self) -> None:
        for slot, child in list(self.children.items()):
            if child.killed:
                del self.children[slot]
                self.exits.append(ChildExit(child.slot, child.generation, child.state, reason="killed"))
        for template in list(self.templates.values()):
            below = any(child.generation == template.generation for child in self.children.values())
            if template.killed or (template.state is TemplateState.DROPPED and not below):
                del self.templates[template.generation]
                self.exits.append(TemplateExit(template.generation, template.state, reason="left"))
        for slot, child in list(self.children.items()):
            if child.state is ChildState.DRAINING:
                del self.children[slot]
                self.exits.append(ChildExit(child.slot, child.generation, child.state, reason="left"))
        self._settle()

    @precondition(lambda self: self.wish is Wish.SERVE)
    @rule(children=st.integers(1, 4))
    def the_operator_reloads(self, children: int) -> None:
        self.wanted += 1
        self.shapes[self.wanted] = self._shape(children)
        self._settle()

    @precondition(lambda self: self.memory.phase is Phase.SERVING)
    @rule(at_once=st.booleans())
    def the_operator_stops(self, at_once: bool) -> None:
        self.wish = Wish.STOP_AT_ONCE if at_once else Wish.STOP
        self._settle()

    # What must hold.

    @invariant()
    def there_are_not_too_many(self) -> None:
        for generation, shape in self.shapes.items():
            alive = [
                child
                for child in self.children.values()
                if child.generation == generation and child.state is not ChildState.DRAINING and not child.killed
            ]
            assert len(alive) <= shape.children

    @invariant()
    def a_server_that_serves_does_not_leave(self) -> None:
        if self.wish is Wish.SERVE and self.exited is not None:
            assert not self.announced
            assert self.exited.code != 0

    @invariant()
    def a_server_that_leaves_leaves_nobody(self) -> None:
        if self.exited is not None:
            left: list[Child | Template] = [*self.children.values(), *self.templates.values()]
            assert all(process.killed for process in left)

    @invariant()
    def whoever_may_hang_has_a_deadline(self) -> None:
        if self.exited is None:
            waits = [c for c in self.children.values() if c.state is not ChildState.READY and not c.killed]
            imports = [t for t in self.templates.values() if t.state is TemplateState.IMPORTING and not t.killed]
            if waits or imports:
                assert self.deadline is not None
                assert self.deadline <= self.now + max(START, GRACEFUL)

    def teardown(self) -> None:
        """Left alone, the world comes to the shape that was asked for."""
        if self.exited is not None or self.memory.phase is Phase.STARTING or not self.shapes:
            return
        for _ in range(400):
            # In this order whatever is started becomes ready within its time.
            self.the_killed_are_reaped()
            self.a_template_is_ready(0)
            self.a_child_is_ready(0)
            self.time_passes(100.0)
            if self._is_over():
                return
        assert self.wish is Wish.SERVE
        assert self.memory.candidate is None
        assert self.wanted in {self.memory.current, self.memory.settled}
        assert set(self.templates) == {self.memory.current}
        assert {child.generation for child in self.children.values()} == {self.memory.current}
        assert self._serving() == self.shapes[self.memory.current].children


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
