"""A make-believe world that performs what the policy orders, checks each order, and lets things happen in between."""

from __future__ import annotations

from dataclasses import replace

from tricorn.policy.census import (
    Census,
    Child,
    ChildExit,
    ChildState,
    MemoryFacts,
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
    AtLimit,
    DropTemplate,
    Exit,
    Kill,
    KillTemplate,
    NoRoom,
    Order,
    Part,
    Recall,
    ReloadDone,
    ReloadFailed,
    Rest,
    Retire,
    Spawn,
    StartTemplate,
    StopListening,
)
from tricorn.policy.reload import makes_way

BASE = 10
"""Memory of the parent and its templates."""


class World:
    """The processes below a parent, as the parent would know them."""

    def __init__(self, shape: Shape) -> None:
        self.now = 0.0
        self.memory = Memory()
        self.wish = Wish.SERVE
        self.wanted = 1
        self.limit: int | None = None
        self.room: tuple[int, int, int] | None = None
        """memory_limit, what a new child costs, and the reserve."""
        self.shapes: dict[int, Shape] = {1: shape}
        self.templates: dict[int, Template] = {}
        self.children: dict[tuple[int, int], Child] = {}
        self.exits: list[ChildExit | TemplateExit] = []
        self.exited: Exit | None = None
        self.deadline: float | None = None
        self.watch = 0
        self.announced = False
        self.listening = True
        self.parted: set[tuple[int, int]] = set()
        self.orders: list[tuple[float, Order]] = []

    # The parent.

    def settle(self) -> None:
        """What the parent's loop does between two waits."""
        for _ in range(600):
            if self.exited is not None:
                return
            exits, self.exits = tuple(self.exits), []
            facts = Census(
                self.now,
                self.wish,
                self.wanted,
                dict(self.shapes),
                tuple(self.templates.values()),
                tuple(self.children.values()),
                exits,
                self.limit,
                self.facts(),
            )
            # A canary that fails is no loss: it was more than what was wanted.
            units_before = self.units(besides=self.memory.candidate)
            decision = decide(self.memory, facts)
            self.memory, self.deadline, self.watch = decision.memory, decision.deadline, decision.watch
            self._check_whole(decision.orders, facts)
            for order in decision.orders:
                self.orders.append((self.now, order))
                self._perform(order)
            if self.wish is Wish.SERVE and self.memory.phase is Phase.SERVING and self.room is None:
                wanted = self.memory.target * self.shapes[self.memory.current].band.unit
                # For a moment everybody may make way for a canary that serves.
                way = makes_way(self.memory, facts)
                assert way or self.units() >= min(units_before, wanted), f"takes away what is wanted: {decision.orders}"
                assert self.units() > 0 or units_before == 0, f"nobody is left to serve: {decision.orders}"
            if not decision.orders:
                assert self.deadline is None or self.deadline > self.now, "a deadline in the past is a busy loop"
                return
        raise AssertionError("the policy never comes to rest")

    def is_over(self) -> bool:
        """Whether the server has left."""
        return self.exited is not None

    def facts(self) -> MemoryFacts | None:
        """The memory of the tree: whoever exists costs something, measured or not."""
        if self.room is None:
            return None
        limit, cost, reserve = self.room
        used = BASE + sum(cost if child.memory is None else child.memory for child in self.children.values())
        return MemoryFacts(limit, used, cost, reserve)

    def serving(self) -> list[Child]:
        """Everyone who is READY and can be spoken to."""
        return [
            child
            for child in self.children.values()
            if child.state is ChildState.READY and not child.killed and child.silent_since is None
        ]

    def alive(self) -> list[Child]:
        """Everyone of the current generation who serves or will soon."""
        recalled = {name for name, _ in self.memory.recalled}
        return [
            child
            for name, child in self.children.items()
            if child.generation == self.memory.current
            and not child.killed
            and child.silent_since is None
            and (child.state in (ChildState.STARTING, ChildState.READY) or name in recalled)
        ]

    def units(self, besides: int | None = None) -> int:
        """The units of everyone who is READY, but for one generation."""
        return sum(self.shapes[child.generation].band.unit for child in self.serving() if child.generation != besides)

    def idle(self) -> int:
        """Those that are not taken."""
        return self.units() - sum(child.taken for child in self.serving())

    def idle_or_starting(self) -> int:
        """What the scoreboard counts: who starts is wholly idle."""
        starting = [
            child for child in self.children.values() if child.state is ChildState.STARTING and not child.killed
        ]
        return self.idle() + sum(self.shapes[child.generation].band.unit for child in starting)

    def most(self) -> int:
        """How many children there may be."""
        return self.limit or self.shapes[self.memory.current].band.most

    def _check_whole(self, orders: tuple[Order, ...], facts: Census) -> None:
        spawns = [order for order in orders if isinstance(order, Spawn)]
        nobody = not [child for child in self.children.values() if child.state is not ChildState.DRAINING]
        if facts.memory is not None and self.memory.candidate is None and not nobody and len(spawns) > 1:
            room = facts.memory.room(reserved=False)
            assert len(spawns) <= room, "what is forked fits into the memory"
        replaced = [order for order in orders if isinstance(order, Retire) and self._is_of_use(order)]
        if self.memory.phase is Phase.SERVING and not any(isinstance(o, ReloadDone) for o in orders):
            assert len(replaced) <= 1, "one replacement at a time"

    def _is_of_use(self, order: Retire) -> bool:
        child = self.children[order.generation, order.slot]
        return child.state is ChildState.READY and child.generation == self.memory.current

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
            case Spawn(generation, slot, reason):
                assert (generation, slot) not in self.children, "a slot has one child"
                assert slot < self.shapes[generation].slots and reason
                assert self.listening, "nobody is forked who could not accept"
                template = self.templates[generation]
                assert template.state is TemplateState.READY and not template.killed
                born = Child(slot, generation, ChildState.STARTING, self.now, killed=False, born=self.now)
                self.children[generation, slot] = born
            case Rest(generation, slot, reason):
                child = self.children[generation, slot]
                assert child.state is ChildState.READY and not child.killed and reason
                others = [c for c in self.serving() if c.generation == generation]
                assert child.taken == min(c.taken for c in others), "never a busy one while an idler one exists"
                self.children[generation, slot] = replace(child, state=ChildState.RESTING, since=self.now)
            case Recall(generation, slot, reason):
                child = self.children[generation, slot]
                assert child.state is ChildState.RESTING and not child.killed and reason
            case Part(generation, slot):
                child = self.children[generation, slot]
                assert child.state is ChildState.READY and not child.killed and self.wish is Wish.STOP
                assert (generation, slot) not in self.parted, "nobody is told twice"
                self.parted.add((generation, slot))
            case Retire(generation, slot, reason, sweep):
                child = self.children[generation, slot]
                assert child.state is not ChildState.DRAINING and not child.killed and reason
                assert not (sweep and self.listening), "who sweeps must not be followed by newcomers"
                self.children[generation, slot] = replace(child, state=ChildState.DRAINING, since=self.now)
            case Kill(generation, slot, _):
                assert not self.children[generation, slot].killed, "nobody is killed twice"
                self.children[generation, slot] = replace(self.children[generation, slot], killed=True, since=self.now)
            case Exit():
                self.exited = order
            case Announce(generation):
                assert generation == 1 and not self.announced
                self.announced = True
            case ReloadDone(generation):
                self.limit = None
                assert any(child.generation == generation for child in self.serving())
            case StopListening():
                assert self.listening and self.wish is not Wish.HAND_OVER
                self.listening = False
            case AtLimit() | NoRoom():
                told = [at for at, other in self.orders[:-1] if type(other) is type(order)]
                assert all(self.now >= at + 60 for at in told), "once a minute at most"
            case ReloadFailed(_, reason, _):
                assert reason
            case _:
                pass

    # What may happen; `which` chooses among those to whom it can happen.

    def template_ready(self, which: int = 0) -> None:
        importing = [t for t in self.templates.values() if t.state is TemplateState.IMPORTING and not t.killed]
        if importing:
            chosen = importing[which % len(importing)]
            self.templates[chosen.generation] = replace(chosen, state=TemplateState.READY, since=self.now)
            self.settle()

    def child_ready(self, which: int = 0) -> None:
        starting = [c for c in self.children.values() if c.state is ChildState.STARTING and not c.killed]
        if starting:
            self.change(starting[which % len(starting)], state=ChildState.READY, since=self.now)
            self.settle()

    def recalled_ready(self) -> None:
        for name, _ in self.memory.recalled:
            child = self.children.get(name)
            if child is not None and child.state is ChildState.RESTING and not child.killed:
                self.children[name] = replace(child, state=ChildState.READY, since=self.now)
        self.settle()

    def change(self, child: Child, **facts: object) -> None:
        self.children[child.generation, child.slot] = replace(child, **facts)  # type: ignore[arg-type]

    def child_gone(self, child: Child, reason: str = "killed by SIGKILL", *, forked: bool = True) -> None:
        del self.children[child.generation, child.slot]
        self.parted.discard((child.generation, child.slot))
        self.exits.append(ChildExit(child.slot, child.generation, child.state, forked=forked, reason=reason))

    def template_gone(self, template: Template, *, unsafe: bool = False) -> None:
        del self.templates[template.generation]
        self.exits.append(TemplateExit(template.generation, template.state, unsafe=unsafe, reason="gone"))

    def reap(self) -> None:
        """Who was killed or has nothing left to do is gone."""
        for child in list(self.children.values()):
            if child.killed or child.state is ChildState.DRAINING:
                self.child_gone(child, "left")
        for template in list(self.templates.values()):
            below = any(child.generation == template.generation for child in self.children.values())
            if template.killed or (template.state is TemplateState.DROPPED and not below):
                self.template_gone(template)
        self.settle()

    def come_up(self) -> None:
        """Until the first generation serves."""
        self.settle()
        self.template_ready()
        while any(child.state is ChildState.STARTING for child in self.children.values()) and self.exited is None:
            self.child_ready()
        assert self.announced
