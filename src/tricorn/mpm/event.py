"""event: a child holds many connections; a thread is taken only for a complete request, until its answer is made.

The default. Connections that wait for a first byte, the rest of a body, the next request or a slow reader cost memory,
not threads, up to `max_open_connections`. One thread more than `threads_per_child` runs: who holds the listener's role
receives for everybody, and the role passes on while its holder is inside the application. The main thread serves
nothing; it listens to the parent.
"""

from __future__ import annotations

from typing import Final

from tricorn._engine import EngineSettings, ReactorDriver, Wsgi
from tricorn.config.settings import Capacity
from tricorn.mpm.contract import Driver, Superior
from tricorn.mpm.crew import Crew
from tricorn.scoreboard import Scoreboard

SYSTEMS: Final = frozenset({"linux", "darwin", "freebsd"})
ENDS_WHEN_OVERDUE: Final = False
"""The other threads have requests of their own."""


def threads(capacity: Capacity) -> int:
    """`threads_per_child`, and one to hold the listener's role while all of them are inside the application."""
    return capacity.threads_per_child + 1


def make_driver(
    gateway: Wsgi, listeners: list[int], settings: EngineSettings, scoreboard: Scoreboard, slot: int, capacity: Capacity
) -> Driver:
    """The reactor; it is told how many threads may be inside the application."""
    return ReactorDriver(gateway, listeners, settings, scoreboard.memory, slot, capacity.threads_per_child)


def serve(driver: Driver, capacity: Capacity, superior: Superior) -> None:
    """The crew serves, the main thread waits for the parent."""
    Crew(driver.run, threads(capacity), superior).serve()
