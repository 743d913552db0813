"""What is compared with what: the cases of a run, the bars that the project sets itself, and the figures inside a run.

Pure: nothing here starts a server.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.trial import Trial


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """One server under so many kept-alive connections."""

    connections: int
    server: str

    @property
    def key(self) -> str:
        """How the case is called in the JSON."""
        return f"{self.server}/{self.connections}"


MAIN = (
    *(
        Case(64, name)
        for name in (
            *("nginx", "event", "freastal", "fastpysgi", "bjoern", "granian", "granian-thread"),
            *("worker", "uwsgi-threads", "apache-worker", "apache-event"),
        )
    ),
    # A thread or a process per connection: as many connections as there are of them, so that each is served.
    *(
        Case(8, name)
        for name in ("worker", "uwsgi-threads", "apache-worker", "prefork", "uwsgi-processes", "apache-prefork")
    ),
)
"""Measured in every round."""

CONTEXT = tuple(Case(64, name) for name in ("gunicorn-sync", "gunicorn-gthread", "waitress", "cheroot"))
"""So much slower that one round tells enough; left out of a quick run."""


@dataclass(frozen=True, slots=True)
class Bar:
    """`ours` should take at most `ratio` of the CPU time per request of `theirs`, both under so many connections."""

    ours: str
    theirs: str
    connections: int
    ratio: float


BARS = (
    Bar("event", "granian", 64, 0.6),
    Bar("event", "freastal", 64, 1.25),
    Bar("worker", "uwsgi-threads", 64, 1.2),
    Bar("worker", "uwsgi-threads", 8, 1.2),
    Bar("worker", "apache-worker", 64, 0.25),
    Bar("worker", "apache-worker", 8, 0.25),
    Bar("prefork", "apache-prefork", 8, 0.25),
)


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    lowest: float
    highest: float


Rounds = Mapping[Case, Sequence[Trial | None]]
"""The trials of each case, by round; None where a trial failed or was not made."""


def select(cases: Iterable[Case], only: Sequence[str]) -> list[Case]:
    """The cases whose server is in `only`, by its name or the first part of it (`uwsgi` is both of uWSGI's)."""
    return [
        case
        for case in cases
        if not only or any(case.server == name or case.server.startswith(f"{name}-") for name in only)
    ]


def spread(values: Iterable[float]) -> Spread:
    """Median and extremes of at least one value."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1])


def cpu_spread(trials: Sequence[Trial | None]) -> Spread | None:
    """Microseconds of CPU per request over the rounds; None if no trial succeeded."""
    values = [trial.us_per_request for trial in trials if trial is not None]
    return spread(values) if values else None


def ratio(rounds: Rounds, ours: Case, theirs: Case) -> Spread | None:
    """CPU per request of `ours` in units of `theirs`, taken round by round: both saw the same state of the machine."""
    pairs = zip(rounds.get(ours, ()), rounds.get(theirs, ()), strict=False)
    values = [a.us_per_request / b.us_per_request for a, b in pairs if a is not None and b is not None]
    return spread(values) if values else None
