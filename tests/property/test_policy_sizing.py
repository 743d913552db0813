"""Sizing against loads, in made-up time: it finds the band, stays in it, and does not fork and kill.

The world here sleeps as the parent does: it asks the policy at its deadlines, when a child is ready or gone, and when
the scoreboard rings because fewer units are idle than `Decision.watch` says; never otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, inf

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_policy_lifecycle import bands
from tests.unit.policy.facts import shape
from tests.unit.policy.world import BASE, World
from tricorn.policy.census import Band, ChildState
from tricorn.policy.orders import AtLimit, NoRoom, Recall, Rest, Retire, Spawn
from tricorn.policy.sizing import MOST_A_SECOND

FORK = 0.02
"""Seconds from an order to a child that serves, by fork or by recall."""
WORK = 0.3
"""Seconds for which a child that rests or drains still has something to do."""


class Simulation:
    """A world with a load."""

    def __init__(self, band: Band, *, packed: bool = False) -> None:
        self.world = World(shape(band))
        self.world.come_up()
        self.packed = packed
        self.decisions = 0
        self.trace: list[tuple[float, int, int]] = []

    def run(self, load: Callable[[float], int], seconds: float, period: float = inf) -> None:
        """Let so much time pass under this load, given in units by time; it changes at multiples of the period."""
        until = self.world.now + seconds
        change = ceil(self.world.now / period) if period < inf else 0
        self._look(load, due=False)
        while self.world.now < until:
            while period < inf and change * period <= self.world.now:
                change += 1
            self.world.now = min(until, change * period if period < inf else inf, *self._moments())
            self._look(load, due=self._happens())

    def _look(self, load: Callable[[float], int], *, due: bool) -> None:
        """Ask the policy if there is a reason to."""
        self._assign(load(self.world.now))
        due = due or (self.world.deadline or inf) <= self.world.now
        if due or self.world.idle_or_starting() < self.world.watch:
            self.decisions += 1
            self.world.settle()
        self.trace.append((self.world.now, len(self.world.alive()), self.world.idle()))

    def orders(self, *kinds: type) -> list[float]:
        """When orders of these kinds were given, since the server serves."""
        return [at for at, order in self.world.orders if isinstance(order, kinds) and at > 0]

    def _moments(self) -> list[float]:
        moments = [at + FORK for _, at in self.world.memory.recalled]
        moments += [
            child.since + (FORK if child.state is ChildState.STARTING else WORK)
            for child in self.world.children.values()
        ]
        return [at for at in (*moments, self.world.deadline or inf) if at > self.world.now]

    def _happens(self) -> bool:
        """Forks are ready, who drains leaves, who rests runs out of work, who is recalled serves."""
        happened = False
        now = self.world.now
        recalled = {name for name, at in self.world.memory.recalled if now >= at + FORK}
        for name, child in list(self.world.children.items()):
            if (child.state is ChildState.STARTING and now >= child.since + FORK) or (
                child.state is ChildState.RESTING and name in recalled
            ):
                self.world.change(child, state=ChildState.READY, since=now)
                happened = True
            elif child.state is ChildState.RESTING and now >= child.since + WORK and child.connections:
                self.world.change(child, taken=0, connections=0)
            elif child.state is ChildState.DRAINING and now >= child.since + WORK:
                self.world.child_gone(child, "left")
                happened = True
        return happened

    def _assign(self, load: int) -> None:
        """Give every serving child its part of the load: as much as it can hold, or one unit each in turn."""
        serving = self.world.serving()
        unit = self.world.shapes[1].band.unit
        load = min(load, unit * len(serving))
        for place, child in enumerate(serving):
            if self.packed:
                taken = min(unit, max(0, load - place * unit))
            else:
                taken = load // len(serving) + (place < load % len(serving))
            if taken != child.taken:
                self.world.change(child, taken=taken, connections=taken)


def constant(load: int) -> Callable[[float], int]:
    """The same load at any time."""
    return lambda _: load


@st.composite
def elastic(draw: st.DrawFn) -> Band:
    band = draw(bands().filter(lambda band: not band.is_fixed))
    return Band(band.unit, band.start, band.least, band.most + draw(st.integers(0, 20)), band.min_spare, band.max_spare)


@given(elastic(), st.lists(st.integers(0, 150), min_size=1, max_size=3), st.booleans())
@settings(max_examples=25)
def test_it_converges_into_the_band_for_any_load_and_then_rests(band: Band, loads: list[int], packed: bool) -> None:
    simulation = Simulation(band, packed=packed)
    world = simulation.world
    for load in loads:
        before = world.now
        simulation.run(constant(load), 10 + band.most / MOST_A_SECOND)
        assert world.idle() >= band.min_spare or world.memory.target == band.most, "growth takes next to no time"
        # One by one, each with the time to rest and to drain, after the longest patience.
        simulation.run(constant(load), 320 + 3 * band.most)
        assert world.idle() <= band.max_spare or world.memory.target == band.least
        told = len(world.orders)
        simulation.run(constant(load), 100)
        changes = [order for _, order in world.orders[told:] if not isinstance(order, AtLimit)]
        assert not changes, "who is in the band stays there"
        grown = [at for at in simulation.orders(Spawn) if at >= before]
        for at in grown:
            assert sum(at <= other < at + 1 for other in grown) <= MOST_A_SECOND


@given(elastic(), st.floats(0.1, 30.0), st.booleans())
@settings(max_examples=30)
def test_a_load_that_alternates_within_the_band_causes_nothing(band: Band, period: float, packed: bool) -> None:
    simulation = Simulation(band, packed=packed)
    base = band.start * band.unit
    high, low = base - band.min_spare, max(0, base - band.max_spare)
    simulation.run(lambda _: low, 5)
    told = len(simulation.world.orders)
    simulation.run(lambda now: high if floor(now / period + 1e-9) % 2 else low, 300, period)
    assert simulation.world.orders[told:] == []


@given(elastic(), st.floats(2.0, 60.0), st.booleans())
@settings(max_examples=15)
def test_a_load_that_swings_across_the_band_is_not_forked_and_killed_after(
    band: Band, period: float, packed: bool
) -> None:
    """Each trough that was followed by need doubles the patience: after a few of them nobody is rested any more."""
    simulation = Simulation(band, packed=packed)
    high = band.most * band.unit
    simulation.run(lambda now: high if floor(now / period + 1e-9) % 2 else 0, 900, period)
    troughs = {floor(at / period + 1e-9) for at in simulation.orders(Rest)}
    assert len(troughs) <= 3, "10, 20, 40 seconds of patience, and then longer than any trough"


def test_the_loop_sleeps_for_ever_at_the_base_and_looks_once_a_second_above_it() -> None:
    band = Band(unit=1, start=5, least=2, most=80, min_spare=2, max_spare=7)
    simulation = Simulation(band)
    simulation.run(lambda _: 0, 1000)
    assert simulation.decisions == 0
    assert simulation.world.deadline is None
    simulation.run(lambda _: 10, 30)
    before = simulation.decisions
    simulation.run(lambda _: 10, 100)
    assert simulation.decisions - before <= 101


def test_a_step_is_answered_in_milliseconds_although_nothing_ticks() -> None:
    band = Band(unit=1, start=9, least=8, most=80, min_spare=8, max_spare=12)
    simulation = Simulation(band)
    simulation.run(lambda now: 20 if now >= 1 else 0, 3, period=1)
    enough = next(at for at, _, idle in simulation.trace if at > 1.01 and idle >= band.min_spare)
    assert enough < 1.2
    steps = simulation.orders(Spawn)
    assert [steps.count(at) for at in sorted(set(steps))][:3] == [1, 2, 4]


def test_growth_stops_where_the_memory_ends() -> None:
    band = Band(unit=1, start=2, least=1, most=50, min_spare=2, max_spare=5)
    simulation = Simulation(band)
    world = simulation.world
    world.room = BASE + 10 * 10, 10, 20
    simulation.run(lambda _: 40, 200)
    facts = world.facts()
    assert facts is not None
    assert facts.used == facts.limit - facts.reserve
    assert len(simulation.orders(NoRoom)) == 4, "once a minute"
    assert not simulation.orders(Retire)


def test_who_rests_is_recalled_before_anybody_is_forked() -> None:
    band = Band(unit=4, start=3, least=1, most=20, min_spare=4, max_spare=8)
    simulation = Simulation(band)
    # Everybody keeps a connection, so whoever rests does so for a while.
    simulation.run(lambda _: 3, 10.3)
    assert len(simulation.orders(Rest)) == 1
    simulation.run(lambda _: 7, 0.3)
    assert len(simulation.orders(Recall)) == 1
    assert not simulation.orders(Spawn)


def test_no_second_sees_more_than_32_new_children() -> None:
    simulation = Simulation(Band(unit=1, start=40, least=40, most=300, min_spare=40, max_spare=60))
    simulation.run(constant(0), 1)
    simulation.run(constant(200), 20)
    grown = simulation.orders(Spawn)
    assert len(grown) == 200
    assert max(sum(at <= other < at + 1 for other in grown) for at in grown) == MOST_A_SECOND
