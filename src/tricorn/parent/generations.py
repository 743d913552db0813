"""Generations: accepted settings with the scoreboard and log files that belong to them. Made before a template is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tricorn.child.heritage import Heritage
from tricorn.config.settings import Preload, Settings
from tricorn.errors import ConfigError
from tricorn.logs import LogFiles, open_logs
from tricorn.mpm import select
from tricorn.policy.census import Shape
from tricorn.scoreboard import make

_LEAST_SPARE_SLOTS = 4
"""A child that drains keeps its slot while its replacement has another: one spare slot for each child, and not fewer."""


LoadSettings = Callable[[Callable[[str], object]], Settings]
"""Reads every source of the configuration again; what it has to warn of goes to its argument. Raises TricornError."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything that a reload replaces."""

    heritage: Heritage
    shape: Shape

    @property
    def settings(self) -> Settings:
        """What is in force for its processes."""
        return self.heritage.settings

    @property
    def logs(self) -> LogFiles:
        """Its log files; closed by the parent when its last process is gone."""
        return self.heritage.logs


def make_generation(number: int, settings: Settings, listeners: tuple[int, ...]) -> Generation:
    """Open the logs and map the scoreboard of a new generation.

    Raises:
        TricornError: a log cannot be opened, or there is no memory.
    """
    capacity = settings.capacity
    slots = capacity.start + max(capacity.start, _LEAST_SPARE_SLOTS)
    logs = open_logs(settings.logs)
    try:
        scoreboard = make(slots, select(settings.mpm).threads(capacity))
    except BaseException:
        logs.close()
        raise
    shape = Shape(
        children=capacity.start,
        slots=slots,
        start_timeout=settings.lifecycle.start_timeout,
        graceful_timeout=settings.lifecycle.graceful_timeout,
        preload=settings.lifecycle.preload is not Preload.OFF,
    )
    return Generation(Heritage(settings, number, listeners, scoreboard, logs), shape)


def check_reloadable(before: Settings, after: Settings) -> None:
    """Raise ConfigError if the new settings change what is fixed for the life of a server."""
    if after.listen != before.listen:
        raise ConfigError(
            "listening addresses, backlog and the Unix socket's mode and owner cannot change in a reload; "
            "restart the server for that"
        )
    if after.lifecycle.pid_file != before.lifecycle.pid_file:
        raise ConfigError("pid_file cannot change in a reload; restart the server for that")
    if _control(after) != _control(before):
        raise ConfigError("control_socket cannot change in a reload; restart the server for that")


def _control(settings: Settings) -> tuple[Path | None, Path | None]:
    return settings.lifecycle.control_socket, settings.lifecycle.control_directory
