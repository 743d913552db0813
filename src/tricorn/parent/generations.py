"""Generations: accepted settings with the scoreboard and log files that belong to them. Made before a template is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tricorn.child.heritage import Heritage
from tricorn.config.settings import Preload, Settings
from tricorn.errors import ConfigError
from tricorn.logs import LogFiles, open_logs
from tricorn.mpm import select
from tricorn.policy.census import Band, Shape
from tricorn.scoreboard import make

_MOST_SPARE_SLOTS = 65536
"""Rows times threads that a scoreboard has beyond what the settings need, for an operator who raises the limit."""


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


def make_generation(
    number: int, settings: Settings, listeners: tuple[int, ...], spare_bell: int, elders: Iterable[Generation] = ()
) -> Generation:
    """Open the logs and map the scoreboard of a new generation. `elders` are those that have processes still.

    Raises:
        TricornError: a log cannot be opened, or there is no memory.
    """
    capacity = settings.capacity
    threads = select(settings.mpm).threads(capacity)
    logs = open_logs(settings.logs)
    try:
        connections = capacity.max_open_connections if settings.clients.counted else None
        boards = (elder.heritage.scoreboard for elder in elders)
        scoreboard = make(_slots(capacity.most, threads), threads, connections, boards)
    except BaseException:
        logs.close()
        raise
    lifecycle = settings.lifecycle
    shape = Shape(
        band=Band(
            unit=capacity.threads_per_child,
            start=capacity.start,
            least=capacity.least,
            most=capacity.most,
            min_spare=capacity.min_spare,
            max_spare=capacity.max_spare,
        ),
        slots=_slots(capacity.most, threads),
        start_timeout=lifecycle.start_timeout,
        graceful_timeout=lifecycle.graceful_timeout,
        drain_delay=lifecycle.drain_delay,
        preload=lifecycle.preload is not Preload.OFF,
        lifetime=lifecycle.max_child_lifetime,
        timeout=settings.timeouts.handler,
        child_memory=settings.memory.child,
    )
    return Generation(Heritage(settings, number, listeners, scoreboard, logs, spare_bell), shape)


def _slots(most: int, threads: int) -> int:
    """Rows for `most` children, for as many that drain, for a replacement, and for a limit that is raised later."""
    return 2 * most + 8 + min(2 * most + 56, _MOST_SPARE_SLOTS // threads)


def largest(slots: int) -> int:
    """To how many children the limit can be raised where there are so many slots."""
    return (slots - 8) // 2


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
