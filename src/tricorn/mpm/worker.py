"""worker: a child has several threads, each with one connection at a time, from accept to close.

For threads that share memory without the surprises of an event loop. A connection that waits for anything holds a
thread, for as long as the deadlines allow. The main thread serves nothing; it listens to the parent.
"""

from __future__ import annotations

from typing import Final

from tricorn._engine import BlockingDriver, EngineSettings, Wsgi
from tricorn.config.settings import Capacity
from tricorn.mpm.contract import Driver, Superior
from tricorn.mpm.crew import Crew
from tricorn.scoreboard import Scoreboard

SYSTEMS: Final = frozenset({"linux", "darwin", "freebsd"})
ENDS_WHEN_OVERDUE: Final = False
"""The other threads have requests of their own."""


def threads(capacity: Capacity) -> int:
    """`threads_per_child`."""
    return capacity.threads_per_child


def make_driver(
    gateway: Wsgi, listeners: list[int], settings: EngineSettings, scoreboard: Scoreboard, slot: int, capacity: Capacity
) -> Driver:
    """Blocking, with as many threads as connections."""
    return BlockingDriver(gateway, listeners, settings, scoreboard.memory, slot, threads(capacity))


def serve(driver: Driver, capacity: Capacity, superior: Superior) -> None:
    """The crew serves, the main thread waits for the parent."""
    Crew(driver.run, threads(capacity), superior).serve()
