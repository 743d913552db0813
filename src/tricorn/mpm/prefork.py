"""prefork: a child is one thread with one connection at a time, from accept to close.

For code that is not thread-safe, for isolation (a crash takes one request along) and for debugging. Every connection
that waits for anything holds a process, for as long as the deadlines allow. The only thread waits on the parent's
channel too, between connections and while it waits for a client.
"""

from __future__ import annotations

from typing import Final

from tricorn._engine import BlockingDriver, EngineSettings, Wsgi
from tricorn.config.settings import Capacity
from tricorn.mpm.contract import Driver, Superior
from tricorn.scoreboard import Scoreboard

SYSTEMS: Final = frozenset({"linux", "darwin", "freebsd"})
ENDS_WHEN_OVERDUE: Final = True
"""Its only thread is busy with that request, and nobody else is harmed."""


def threads(capacity: Capacity) -> int:
    """One, whatever the capacity says."""
    del capacity
    return 1


def make_driver(
    gateway: Wsgi, listeners: list[int], settings: EngineSettings, scoreboard: Scoreboard, slot: int, capacity: Capacity
) -> Driver:
    """Blocking, with a single thread."""
    return BlockingDriver(gateway, listeners, settings, scoreboard.memory, slot, threads(capacity))


def serve(driver: Driver, capacity: Capacity, superior: Superior) -> None:
    """The main thread serves."""
    del capacity
    if not isinstance(driver, BlockingDriver):
        raise TypeError("prefork needs the blocking driver")
    # The listening sockets queue connections already, so the child can be called ready just before it accepts.
    superior.ready()
    try:
        driver.run(0, superior.fileno(), superior.hear)
    except Exception as error:  # whatever ends the driver ends the child, and the log has to say so
        superior.failed(error)
    superior.returned()
