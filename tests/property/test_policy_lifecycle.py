"""The policy against a make-believe world in which anybody may die at any moment and the operator asks for anything."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.policy.world import BASE, World
from tricorn.policy.census import Band, Child, ChildState, Shape, Template, TemplateState, Wish
from tricorn.policy.memory import Phase

GRACEFUL, START, DELAY = 30.0, 60.0, 5.0
COST = 10


@st.composite
def bands(draw: st.DrawFn) -> Band:
    """Numbers that agree with each other, as the configuration leaves them."""
    unit = draw(st.sampled_from([1, 1, 4]))
    least = draw(st.integers(1, 3))
    start = least + draw(st.integers(0, 2))
    if draw(st.integers(0, 3)) == 0:
        return Band(unit, start, start, start, min_spare=1, max_spare=start * unit)
    min_spare = draw(st.integers(max(1, (least - 1) * unit + 1), least * unit))
    max_spare = draw(st.integers(max(min_spare + unit, start * unit), (start + 3) * unit))
    return Band(unit, start, least, start + draw(st.integers(0, 6)), min_spare, max_spare)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    band = draw(bands())
    return Shape(
        band=band,
        slots=2 * band.most + 2,
        start_timeout=START,
        graceful_timeout=GRACEFUL,
        drain_delay=draw(st.sampled_from([0.0, DELAY])),
        preload=True,
        lifetime=draw(st.sampled_from([0.0, 0.0, 300.0])),
        timeout=60.0,
        child_memory=draw(st.sampled_from([0, 3 * COST])),
    )


class Machine(RuleBasedStateMachine):
    """What may happen, in any order."""

    world: World

    @initialize(
        shape=shapes(), roomy=st.sampled_from([0, 0, 2, 5]), comes_up=st.sampled_from([True, True, True, False])
    )
    def begin(self, shape: Shape, roomy: int, comes_up: bool) -> None:
        self.world = World(shape)
        if roomy:
            self.world.room = BASE + COST * (shape.band.start + roomy), COST, 2 * COST
        if comes_up:
            self.world.come_up()
        else:
            self.world.settle()

    def _serves(self) -> bool:
        return self.world.memory.phase is Phase.SERVING

    @rule()
    def what_was_ordered_works(self) -> None:
        self.world.template_ready()
        self.world.child_ready()
        self.world.recalled_ready()

    @rule(which=st.integers(0, 20))
    def a_template_is_ready(self, which: int) -> None:
        self.world.template_ready(which)

    @rule(which=st.integers(0, 20))
    def a_child_is_ready(self, which: int) -> None:
        self.world.child_ready(which)

    @rule()
    def the_recalled_serve_again(self) -> None:
        self.world.recalled_ready()

    @rule(load=st.integers(0, 100), busy=st.booleans())
    def the_load_changes(self, load: int, busy: bool) -> None:
        """Percent of the units of each child; whoever has work has connections."""
        for child in list(self.world.children.values()):
            unit = self.world.shapes[child.generation].band.unit
            taken = unit * load // 100
            more = 1 if busy else 0
            self.world.change(child, taken=taken, connections=taken + more, requests=child.requests + more)
        self.world.settle()

    @rule(which=st.integers(0, 20), used=st.integers(1, 6))
    def a_child_grows(self, which: int, used: int) -> None:
        ready = self.world.serving()
        if ready:
            self.world.change(ready[which % len(ready)], memory=used * COST)
            self.world.settle()

    @rule(which=st.integers(0, 20))
    def a_child_asks_to_be_replaced(self, which: int) -> None:
        children = list(self.world.children.values())
        if children:
            self.world.change(children[which % len(children)], asked="max_requests_per_child is reached")
            self.world.settle()

    @rule(which=st.integers(0, 20))
    def a_child_is_silent(self, which: int) -> None:
        children = [child for child in self.world.children.values() if child.silent_since is None]
        if children and self._serves():
            self.world.change(children[which % len(children)], silent_since=self.world.now)
            self.world.settle()

    @rule(which=st.integers(0, 20), forked=st.booleans())
    def a_child_dies(self, which: int, forked: bool) -> None:
        # While the server starts, a death may end it; that is tested case by case.
        children = list(self.world.children.values())
        if children and self.world.memory.phase is not Phase.STARTING:
            child = children[which % len(children)]
            self.world.child_gone(child, forked=forked or child.state is not ChildState.STARTING)
            self.world.settle()

    @rule(which=st.integers(0, 20), unsafe=st.booleans())
    def a_template_dies(self, which: int, unsafe: bool) -> None:
        templates = list(self.world.templates.values())
        if templates and self.world.memory.phase is not Phase.STARTING:
            template = templates[which % len(templates)]
            self.world.template_gone(template, unsafe=unsafe and template.state is TemplateState.IMPORTING)
            self.world.settle()

    @rule(seconds=st.floats(0.01, 100.0))
    def time_passes(self, seconds: float) -> None:
        """Until then or until the deadline, whichever is first: the loop is never later than that."""
        later = self.world.now + seconds
        deadline = self.world.deadline
        self.world.now = later if deadline is None else min(later, max(self.world.now, deadline))
        self.world.settle()

    @rule()
    def the_killed_are_reaped(self) -> None:
        self.world.reap()

    @precondition(lambda self: self.world.wish is Wish.SERVE)
    @rule(shape=shapes())
    def the_operator_reloads(self, shape: Shape) -> None:
        self.world.wanted += 1
        self.world.shapes[self.world.wanted] = shape
        self.world.settle()

    @precondition(lambda self: self._serves())
    @rule(most=st.integers(1, 12))
    def the_operator_resizes(self, most: int) -> None:
        self.world.limit = min(most, self.world.shapes[self.world.memory.current].slots // 2)
        self.world.settle()

    @precondition(lambda self: self._serves())
    @rule(wish=st.sampled_from([Wish.STOP, Wish.STOP, Wish.HAND_OVER, Wish.STOP_AT_ONCE]))
    def the_operator_stops(self, wish: Wish) -> None:
        self.world.wish = wish
        self.world.settle()

    @precondition(lambda self: self.world.wish is not Wish.SERVE)
    @rule()
    def the_operator_is_impatient(self) -> None:
        self.world.wish = Wish.STOP_AT_ONCE
        self.world.settle()

    # What must hold.

    @invariant()
    def there_are_not_too_many(self) -> None:
        if self.world.memory.phase is not Phase.STOPPING:
            assert len(self.world.alive()) <= self.world.most() + (self.world.memory.replacing is not None)
            canaries = [c for c in self.world.children.values() if c.generation == self.world.memory.candidate]
            assert len([c for c in canaries if not c.killed]) <= 1

    @invariant()
    def there_are_not_too_few_while_more_may_be(self) -> None:
        """Everything that is missing is on its way, unless something stands in the way of forking."""
        world, current = self.world, self.world.memory.current
        template = world.templates.get(current)
        facts = world.facts()
        if (
            self._serves()
            and template is not None
            and template.state is TemplateState.READY
            and not template.killed
            and world.memory.children.may_start(world.now)
            and (facts is None or facts.room(reserved=False) > 0)
            and sum(child.generation == current for child in world.children.values()) < world.shapes[current].slots
            and not any(child.generation < current for child in world.children.values())
        ):
            band = world.shapes[current].band
            least = world.most() if band.is_fixed else min(band.least, world.most())
            silent = [child for child in world.children.values() if child.silent_since is not None]
            assert len(world.alive()) + len(silent) >= least

    @invariant()
    def a_server_that_serves_does_not_leave(self) -> None:
        if self.world.wish is Wish.SERVE and self.world.exited is not None:
            assert not self.world.announced
            assert self.world.exited.code != 0

    @invariant()
    def a_server_that_leaves_leaves_nobody(self) -> None:
        if self.world.exited is not None:
            left: list[Child | Template] = [*self.world.children.values(), *self.world.templates.values()]
            assert all(process.killed for process in left)

    @invariant()
    def whoever_may_hang_has_a_deadline(self) -> None:
        world = self.world
        if world.exited is None:
            waits = [c for c in world.children.values() if c.state is not ChildState.READY and not c.killed]
            imports = [t for t in world.templates.values() if t.state is TemplateState.IMPORTING and not t.killed]
            if waits or imports:
                assert world.deadline is not None
                assert world.deadline <= world.now + max(START, GRACEFUL + DELAY)

    def teardown(self) -> None:
        """Left alone, the world comes to the shape that was asked for."""
        world = self.world
        if world.is_over() or world.memory.phase is Phase.STARTING:
            return
        world.room = None
        for name in list(world.shapes):
            world.shapes[name] = replace(world.shapes[name], lifetime=0.0)
        for child in list(world.children.values()):
            world.change(child, taken=0, connections=0, asked="", silent_since=None, memory=None)
        quiet = 0
        for _ in range(1500):
            # In this order whatever is started becomes ready within its time.
            world.reap()
            world.template_ready()
            world.child_ready()
            world.recalled_ready()
            if world.is_over():
                return
            quiet = quiet + 1 if world.deadline is None else 0
            if quiet > len(world.shapes):
                break
            self.time_passes(100.0)
        assert world.wish is Wish.SERVE
        assert world.memory.candidate is None
        assert world.wanted in {world.memory.current, world.memory.settled}
        assert set(world.templates) == {world.memory.current}
        assert {child.generation for child in world.children.values()} == {world.memory.current}
        band = world.shapes[world.memory.current].band
        assert len(world.serving()) == len(world.children) == world.memory.target
        least = world.most() if band.is_fixed else min(band.least, world.most())
        assert least <= world.memory.target <= world.most()
        if not band.is_fixed:
            assert world.idle() <= band.max_spare or world.memory.target == least
            assert world.idle() >= band.min_spare or world.memory.target == world.most()
        if band.is_fixed or world.idle() >= band.min_spare:
            assert world.deadline is None, "at rest nothing is looked at"


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=200, stateful_step_count=40)
