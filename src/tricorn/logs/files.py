"""Opening the log files, by the parent, before privileges are dropped: children inherit the descriptors.

Opening them again, when somebody has moved them away, is the parent's affair too: it hands new descriptors to the
processes below, and each puts them in the place of the old ones.
"""

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
_STREAMS: Final = (STANDARD_OUTPUT, STANDARD_ERROR)
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
        for fd in {self.error, self.access} - {None, *_STREAMS}:
            if fd is not None:
                os.close(fd)

    def adopt(self, error: int | None, access: int | None) -> None:
        """Have these descriptors stand for the files that `error` and `access` are; None leaves one as it is.

        Everybody who writes to the number, the engine included, writes to the new file from the next line on; no line
        is lost, and none is torn. The arguments stay the caller's. Standard streams are left alone. Raises OSError.
        """
        for ours, new in ((self.error, error), (self.access, access)):
            if ours is not None and new is not None and ours not in _STREAMS and new != ours:
                os.dup2(new, ours, inheritable=False)


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


@dataclass(frozen=True, slots=True)
class Reopened:
    """Logs that were opened anew, to be adopted by every process that writes to them, and then closed."""

    error: int | None
    """None when it is a standard stream, which stays what it is."""
    access: int | None
    """None when it is a standard stream, or there is no access log."""

    def close(self) -> None:
        """When everybody has been handed them."""
        for fd in (self.error, self.access):
            if fd is not None:
                os.close(fd)


def reopen(logs: Logs) -> Reopened:
    """Open the log files by their names again: after they were moved away, these are new files.

    Raises:
        ConfigError: one cannot be opened; the text names the directive. Both stay as they are then.
    """
    error = None if logs.error_log == "-" else _open("error_log", logs.error_log)
    try:
        access = None if logs.access_log in (None, "-") else _open("access_log", logs.access_log)
    except ConfigError:
        Reopened(error, None).close()
        raise
    return Reopened(error, access)


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
