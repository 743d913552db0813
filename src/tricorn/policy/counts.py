"""Who counts as what in one decision: the children of the current generation by what they do, and the idle units.

Derived anew from the one table of children each time; there are no counters to keep in step with it (Apache's parent had
several, and most of its bugs about them). Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from tricorn.policy.census import Band, Census, Child, ChildState, Template, TemplateState
from tricorn.policy.memory import Memory, Name
from tricorn.policy.orders import Order, Retire


@dataclass(frozen=True, slots=True)
class Counts:
    """The children that decisions are about; nobody here was killed already."""

    band: Band
    ready: tuple[Child, ...]
    """READY, of the current generation."""
    starting: tuple[Child, ...]
    """STARTING, of the current generation."""
    resting: tuple[Child, ...]
    """RESTING, of the current generation, and not recalled."""
    returning: tuple[Child, ...]
    """RESTING, of the current generation, and recalled: about to say that they serve again."""
    silent: tuple[Child, ...]
    """Of the current generation, with a channel that has ended: no use any more, and soon gone. Until then their place is
    taken, so that their crash is counted before they have successors."""
    old: tuple[Child, ...]
    """READY, of older generations: they serve until the current generation has taken over."""
    stale: tuple[Child, ...]
    """Of older generations, and of no use to anybody: STARTING, RESTING or silent."""
    units: int
    """Units of all children of any generation that serve."""
    taken: int
    """How many of those are taken."""
    waiting: int
    """Requests that wait for a unit of these children: demand that their units cannot show."""
    old_units: int
    """Units of `old`."""

    @property
    def alive(self) -> int:
        """Children of the current generation that serve or will soon; the silent as well."""
        return len(self.ready) + len(self.coming) + len(self.silent)

    @property
    def coming(self) -> tuple[Child, ...]:
        """Children of the current generation that will serve soon."""
        return self.starting + self.returning

    @property
    def idle(self) -> int:
        """Units that a further client could have at once."""
        return self.units - self.taken

    def missing(self, target: int) -> int:
        """How many children the server is short of `target`; older generations help until they are replaced."""
        short = (target - self.alive) * self.band.unit - self.old_units
        return max(0, -(-short // self.band.unit))


def count(memory: Memory, census: Census) -> Counts:
    """Sort the children of this census."""
    band = census.shapes[memory.current].band
    recalled = {name for name, _ in memory.recalled}
    here = [child for child in census.children if not child.killed]
    mute = [child for child in here if child.silent_since is not None]
    here = [child for child in here if child.silent_since is None]
    own = [child for child in here if child.generation == memory.current]
    before = [child for child in here if child.generation < memory.current]
    resting = [child for child in own if child.state is ChildState.RESTING]
    serving = [child for child in here if child.state is ChildState.READY]
    old = [child for child in before if child.state is ChildState.READY]
    return Counts(
        band=band,
        ready=tuple(child for child in own if child.state is ChildState.READY),
        starting=tuple(child for child in own if child.state is ChildState.STARTING),
        resting=tuple(child for child in resting if name_of(child) not in recalled),
        returning=tuple(child for child in resting if name_of(child) in recalled),
        silent=tuple(
            child
            for child in mute
            if child.generation == memory.current and child.state in (ChildState.STARTING, ChildState.READY)
        ),
        old=tuple(old),
        stale=tuple(
            child
            for child in (*before, *(child for child in mute if child.generation < memory.current))
            if child.state is not ChildState.DRAINING and child not in old
        ),
        units=sum(census.shapes[child.generation].band.unit for child in serving),
        taken=sum(child.taken for child in serving),
        waiting=sum(child.waiting for child in serving),
        old_units=sum(census.shapes[child.generation].band.unit for child in old),
    )


def bounds(memory: Memory, census: Census) -> tuple[int, int]:
    """The least and the most children of the current generation; the operator's word goes over the settings'."""
    shape = census.shapes[memory.current]
    most = shape.band.most if census.limit is None else max(1, census.limit)
    most = min(most, shape.slots)
    return (most if shape.band.is_fixed else min(shape.band.least, most)), most


def can_fork(memory: Memory, census: Census) -> bool:
    """Whether a child of the current generation could be forked now."""
    template = usable_template(census, memory.current)
    ready = template is not None and template.state is TemplateState.READY
    return ready and memory.children.may_start(census.now)


def usable_template(census: Census, generation: int) -> Template | None:
    """The template of this generation that can still be used."""
    for template in census.templates:
        if template.generation == generation and template.state is not TemplateState.DROPPED and not template.killed:
            return template
    return None


def after(census: Census, orders: Iterable[Order]) -> Census:
    """The census as it is when the children that these orders retire are retired."""
    leaving = {(order.generation, order.slot) for order in orders if isinstance(order, Retire)}
    if not leaving:
        return census
    staying = (child for child in census.children if name_of(child) not in leaving)
    retired = (
        replace(child, state=ChildState.DRAINING, since=census.now)
        for child in census.children
        if name_of(child) in leaving
    )
    return replace(census, children=tuple(chain(staying, retired)))


def emptiest(child: Child) -> tuple[int, int, float]:
    """Sort key of who can best be spared: nothing taken, then the fewest connections, then the youngest."""
    return child.taken, child.connections, -born(child)


def born(child: Child) -> float:
    """When the child was ordered."""
    return child.since if child.born is None else child.born


def name_of(child: Child) -> Name:
    """What orders call this child."""
    return child.generation, child.slot
