"""What an MPM offers to a child, and what it needs of it. Types only."""

from __future__ import annotations

from typing import Protocol

from tricorn._engine import BlockingDriver, EngineSettings, ReactorDriver, Wsgi
from tricorn.config.settings import Capacity
from tricorn.scoreboard import Scoreboard

Driver = BlockingDriver | ReactorDriver


class Superior(Protocol):
    """The parent, as seen from a child: who is told things, and who may ask the child to retire."""

    def fileno(self) -> int:
        """Readable when the parent has something to say, or is gone."""

    def hear(self) -> None:
        """Read what the parent said, and act on it."""

    def ready(self) -> None:
        """Tell that the child serves."""

    def returned(self) -> None:
        """A thread came back from the driver: tell the parent if nobody had asked for that."""

    def failed(self, error: BaseException) -> None:
        """A thread was thrown out of the driver: log it, tell the parent, and retire."""


class Module(Protocol):
    """One multi-processing module."""

    SYSTEMS: frozenset[str]
    """Where it runs: values of `sys.platform`."""

    def threads(self, capacity: Capacity) -> int:
        """How many threads call the driver; the slots of a scoreboard row."""

    def make_driver(
        self,
        gateway: Wsgi,
        listeners: list[int],
        settings: EngineSettings,
        scoreboard: Scoreboard,
        slot: int,
        capacity: Capacity,
    ) -> Driver:
        """The driver of one child."""

    def serve(self, driver: Driver, capacity: Capacity, superior: Superior) -> None:
        """Serve until the driver is retired and done. Run by the main thread of a child."""
