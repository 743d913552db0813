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
        """Readable when there is something to attend to: a word of the parent, its end, or a ring of the bell."""

    def hear(self) -> None:
        """Attend to what there is, without waiting. Run by the main thread."""

    def wait(self) -> None:
        """Wait until there is something to attend to, and attend to it. Run by the main thread."""

    def ring(self) -> None:
        """End a `wait`. Any thread."""

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

    ENDS_WHEN_OVERDUE: bool
    """Whether a child ends at once when a request takes longer than `timeout`; otherwise its thread is asked to come back."""

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
