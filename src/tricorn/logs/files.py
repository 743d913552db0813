"""Opening the log files, by the parent, before privileges are dropped: children inherit the descriptors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from tricorn.config.settings import Logs
from tricorn.errors import ConfigError

STANDARD_OUTPUT: Final = 1
STANDARD_ERROR: Final = 2
_MODE: Final = 0o640


@dataclass(frozen=True, slots=True)
class LogFiles:
    """The descriptors that log lines are written to."""

    error: int
    access: int | None
    """None when there is no access log."""

    def close(self) -> None:
        """Close what was opened for these logs; the standard streams stay open."""
        for fd in {self.error, self.access} - {None, STANDARD_OUTPUT, STANDARD_ERROR}:
            if fd is not None:
                os.close(fd)


def open_logs(logs: Logs) -> LogFiles:
    """Open both logs for appending.

    Raises:
        ConfigError: a file cannot be opened; the text names the directive.
    """
    error = STANDARD_ERROR if logs.error_log == "-" else _open("error_log", logs.error_log)
    if logs.access_log is None:
        return LogFiles(error, None)
    try:
        access = STANDARD_OUTPUT if logs.access_log == "-" else _open("access_log", logs.access_log)
    except ConfigError:
        LogFiles(error, None).close()
        raise
    return LogFiles(error, access)


def _open(directive: str, path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    except OSError as error:
        message = f"{directive}: {path} cannot be opened for appending: {error.strerror}"
        raise ConfigError(message) from error
