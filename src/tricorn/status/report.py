"""From what the parent knows to the data of `tricorn status --json`: plain JSON data with stable names.

What children say of themselves (their rows of the scoreboard) is untrusted, and is bounded here; what the parent knows
of its own (pids, states, ages) is not. Durations are seconds, sizes are bytes; null is what the system does not tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

MOST_CHILDREN: Final = 2048
"""Children that are listed one by one; with more, the answer would be too long to be sent."""
_LARGEST: Final = 2**63
_MOST_STAGES: Final = 16
"""Kinds of stages that are told of one child; there are fewer."""
SERVING: Final = frozenset({"starting", "ready"})
"""The states in which a child's units count: a starting child will serve, a resting or draining one takes nobody."""


class Row(Protocol):
    """What a child says of itself: `tricorn.scoreboard.board.ChildSnapshot`."""

    @property
    def connections(self) -> int:
        """Open connections."""

    @property
    def requests(self) -> int:
        """Requests answered."""

    @property
    def accepted(self) -> int:
        """Connections accepted."""

    @property
    def queued(self) -> int:
        """Complete requests that wait for a thread."""

    @property
    def queue_time(self) -> float:
        """Seconds that all requests have waited for a thread, added up."""

    @property
    def turned_away(self) -> int:
        """Complete requests that were answered with 503, since no thread was free in time."""

    @property
    def dropped(self) -> int:
        """Complete requests whose clients had gone before a thread was free."""

    @property
    def broken_off(self) -> int:
        """Answers that were broken off because their clients did not take them and others needed the room or thread."""

    @property
    def held_memory(self) -> int:
        """Bytes of bodies and answers held in memory."""

    @property
    def spooled(self) -> int:
        """Bytes of bodies and answers in temporary files."""

    @property
    def timed_out(self) -> int:
        """Requests for which the application has taken too long."""

    @property
    def refused_by_address(self) -> int:
        """Connections and requests that were refused because their address had too many."""

    @property
    def stages(self) -> Sequence[str]:
        """What each thread does."""


class Band(Protocol):
    """The numbers of sizing: `tricorn.policy.census.Band`. Children, and for spare capacity units."""

    @property
    def unit(self) -> int:
        """Units of one child: 1, or its threads."""

    @property
    def start(self) -> int:
        """Children to begin with."""

    @property
    def least(self) -> int:
        """Children that there are at least."""

    @property
    def most(self) -> int:
        """Children that there are at most."""

    @property
    def min_spare(self) -> int:
        """Idle units, at least."""

    @property
    def max_spare(self) -> int:
        """Idle units, at most."""


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """What one process takes, as last measured; see `parent.memory_use`."""

    pss: int | None
    """Its own, and its part of what it shares."""
    uss: int | None
    """What it has for itself: what its end would give back."""
    rss: int | None
    """What it maps, shared or not."""


@dataclass(frozen=True, slots=True)
class ChildFacts:
    """One child, as the parent knows it."""

    slot: int
    generation: int
    pid: int | None
    """None until it was forked."""
    state: str
    """starting, ready, resting, draining."""
    age: float
    """Seconds since it was ordered."""
    units: int
    taken: int
    row: Row | None
    memory: ProcessMemory | None


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """The memory of the whole server: parent, templates and children."""

    limit: int | None
    """memory_limit; None is off."""
    used: int | None
    """What it takes, with a prediction for children not measured yet."""
    child: int | None
    """What one more child would take."""
    rss: int | None
    pss: int | None


@dataclass(frozen=True, slots=True)
class ReloadFacts:
    """A reload that is going on."""

    state: str
    """What it waits for: "importing", "canary", "replacing"."""
    generation: int
    since: float
    """Seconds since it began."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Everything that is told about a server."""

    version: str
    pid: int
    uptime: float
    phase: str
    """starting, serving, stopping."""
    generation: int
    mpm: str
    application: str
    addresses: Sequence[str]
    band: Band
    target: int
    """Children that sizing wants."""
    limit: int | None
    """Children that the operator's `resize` allows; None is what the configuration says."""
    children: Sequence[ChildFacts]
    memory: MemoryFacts
    reload: ReloadFacts | None
    past_requests: int
    """Requests answered by children that are gone."""
    past_accepted: int
    """Connections accepted by children that are gone."""
    exits: Mapping[str, int]
    """How many children ended, by reason."""


def report(facts: ServerFacts) -> dict[str, Any]:
    """The data of `tricorn status --json`."""
    children = [_child(child) for child in sorted(facts.children, key=lambda child: (child.slot, child.generation))]
    return {
        "version": facts.version,
        "pid": facts.pid,
        "uptime": round(facts.uptime, 1),
        "phase": facts.phase,
        "generation": facts.generation,
        "mpm": facts.mpm,
        "application": facts.application,
        "addresses": list(facts.addresses),
        "capacity": _capacity(facts, children),
        "memory": _memory(facts.memory),
        "holding": {key: sum(child[key] for child in children) for key in ("held_memory", "spooled")},
        "reload": _reload(facts.reload),
        "children": children[:MOST_CHILDREN],
        "children_left_out": max(0, len(children) - MOST_CHILDREN),
        "totals": {
            "requests": facts.past_requests + sum(child["requests"] for child in children),
            "accepted": facts.past_accepted + sum(child["accepted"] for child in children),
            "exits": dict(facts.exits),
        },
    }


def _child(child: ChildFacts) -> dict[str, Any]:
    row, memory = child.row, child.memory
    return {
        "slot": child.slot,
        "generation": child.generation,
        "pid": child.pid,
        "state": child.state,
        "taken": _clamped(child.taken, child.units),
        "units": child.units,
        "connections": 0 if row is None else _clamped(row.connections),
        "requests": 0 if row is None else _clamped(row.requests),
        "accepted": 0 if row is None else _clamped(row.accepted),
        "queued": 0 if row is None else _clamped(row.queued),
        "queue_time": 0.0 if row is None else round(max(0.0, min(row.queue_time, float(_LARGEST))), 6),
        "turned_away": 0 if row is None else _clamped(row.turned_away),
        "dropped": 0 if row is None else _clamped(row.dropped),
        "broken_off": 0 if row is None else _clamped(row.broken_off),
        "held_memory": 0 if row is None else _clamped(row.held_memory),
        "spooled": 0 if row is None else _clamped(row.spooled),
        "timed_out": 0 if row is None else _clamped(row.timed_out),
        "refused_by_address": 0 if row is None else _clamped(row.refused_by_address),
        "age": round(max(0.0, child.age), 1),
        "pss": None if memory is None else memory.pss,
        "uss": None if memory is None else memory.uss,
        "rss": None if memory is None else memory.rss,
        "stages": {} if row is None else _stages(row.stages),
    }


def _stages(stages: Sequence[str]) -> dict[str, int]:
    """How many threads are in each stage, the most frequent ones first."""
    counts = Counter(stages)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_STAGES])


def _capacity(facts: ServerFacts, children: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    band = facts.band
    serving = [child for child in children if child["state"] in SERVING]
    units, taken = sum(child["units"] for child in serving), sum(child["taken"] for child in serving)
    most = band.most if facts.limit is None else facts.limit
    fixed = band.least == band.most
    return {
        "children": len(serving),
        "target": facts.target,
        # A limit below it goes over it; a fixed pool has that many at all times.
        "least": most if fixed else min(band.least, most),
        "most": most,
        "unit": band.unit,
        "units": units,
        "taken": taken,
        "idle": units - taken,
        "min_spare": band.min_spare,
        "max_spare": band.max_spare,
        "max_request_workers": most * band.unit,
        "fixed": fixed,
    }


def _memory(memory: MemoryFacts) -> dict[str, Any]:
    saved = None if memory.rss is None or memory.pss is None else max(0, memory.rss - memory.pss)
    return {
        "limit": memory.limit,
        "used": memory.used,
        "child": memory.child,
        "rss": memory.rss,
        "pss": memory.pss,
        "saved": saved,
    }


def _reload(reload: ReloadFacts | None) -> dict[str, Any] | None:
    if reload is None:
        return None
    return {"state": reload.state, "generation": reload.generation, "since": round(max(0.0, reload.since), 1)}


def _clamped(number: int, most: int = _LARGEST) -> int:
    return max(0, min(number, most))
