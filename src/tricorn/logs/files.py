"""Opening the log files, by the parent, before privileges are dropped: children inherit the descriptors."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from tricorn.config.settings import Logs
from tricorn.errors import ConfigError

STANDARD_OUTPUT: Final = 1
STANDARD_ERROR: Final = 2
_MODE: Final = 0o640
_HOW: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
"""Without waiting: neither for somebody who opens the other end of a pipe, nor for somebody who reads from it."""


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
    error = _standard(STANDARD_ERROR) if logs.error_log == "-" else _open("error_log", logs.error_log)
    if logs.access_log is None:
        return LogFiles(error, None)
    try:
        access = _standard(STANDARD_OUTPUT) if logs.access_log == "-" else _open("access_log", logs.access_log)
    except ConfigError:
        LogFiles(error, None).close()
        raise
    return LogFiles(error, access)


def _standard(fd: int) -> int:
    """A standard stream in a way that never waits: one of our own where it is a pipe or a terminal.

    Not waiting is a property of what was opened, which a standard stream shares with strangers (the shell, the program
    at the other end of a terminal); so it is opened again, as Linux allows. Elsewhere it is used as it is.
    """
    try:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISFIFO(mode) or (stat.S_ISCHR(mode) and os.isatty(fd))):
            return fd
        return os.open(f"/proc/self/fd/{fd}", _HOW | os.O_NOCTTY)
    except OSError:
        return fd


def _open(directive: str, path: str) -> int:
    try:
        return os.open(path, _HOW | os.O_CREAT, _MODE)
    except OSError as error:
        reason = error.strerror
        if error.errno == errno.ENXIO:
            reason = "nobody reads this pipe; start its reader first"
        message = f"{directive}: {path} cannot be opened for appending: {reason}"
        raise ConfigError(message) from error
