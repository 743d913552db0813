"""The error log: one format for every process, one write per line. Files are opened elsewhere (`files.py`).

    2026-11-23T01:20:00.123Z info  parent: the text

Time in UTC (RFC 3339), level, who, text. Further lines of one entry (a traceback) are indented, so that every line that
begins with a time begins an entry. The engine writes the same format from its own threads (`rust/engine/src/log.rs`).
"""

from __future__ import annotations

import os
import select
import stat
from datetime import UTC, datetime
from typing import Final

from tricorn.config.settings import LogLevel

_ORDER: Final = (LogLevel.ERROR, LogLevel.WARNING, LogLevel.INFO, LogLevel.DEBUG)
_LONGEST_ENTRY: Final = 64 * 1024
"""Characters of one entry; the rest is cut off, so that no application can flood the log with one line."""


class ErrorLog:
    """Writes entries to a descriptor on behalf of one process.

    Every entry is a single write, so entries of several processes do not mix. A pipe or terminal whose reader has
    stopped reading must not stop the server: entries are dropped then, and counted, and the count is told when there is
    room again.
    """

    def __init__(self, fd: int, level: LogLevel, who: str) -> None:
        self.fd = fd
        self.level = level
        self.who = who
        self._shown = frozenset(_ORDER[: _ORDER.index(level) + 1])
        self._may_block = _may_block(fd)
        self._dropped = 0
        self._torn = False
        """The last entry was cut off in the middle of a line."""

    def named(self, who: str) -> ErrorLog:
        """The same log in the name of another process."""
        return ErrorLog(self.fd, self.level, who)

    def error(self, text: str) -> None:
        """Something failed, and somebody has to act."""
        self._entry(LogLevel.ERROR, text)

    def warning(self, text: str) -> None:
        """Something is wrong, and the server goes on."""
        self._entry(LogLevel.WARNING, text)

    def info(self, text: str) -> None:
        """Something happened that an operator wants to know."""
        self._entry(LogLevel.INFO, text)

    def debug(self, text: str) -> None:
        """Something that helps to understand the server's decisions."""
        self._entry(LogLevel.DEBUG, text)

    def always(self, text: str) -> None:
        """What is told at every level: that the server serves, and that it has stopped."""
        self._write(entry(datetime.now(UTC), LogLevel.INFO, self.who, text))

    def _entry(self, level: LogLevel, text: str) -> None:
        if level in self._shown:
            self._write(entry(datetime.now(UTC), level, self.who, text))

    def _write(self, data: bytes) -> None:
        if self._may_block and not _has_room(self.fd):
            self._dropped += 1
            return
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            text = f"{dropped} entries were lost here, because nobody read the error log"
            data = entry(datetime.now(UTC), LogLevel.WARNING, self.who, text) + data
        if self._torn:
            data = b"\n" + data
        try:
            sent = os.write(self.fd, data)
        except OSError:
            # The disk is full, the pipe is full, or the reader is gone: there is nowhere left to say so, and serving
            # matters more.
            self._dropped += 1
            return
        self._torn = sent < len(data)
        self._dropped += self._torn


def entry(when: datetime, level: LogLevel, who: str, text: str) -> bytes:
    """One entry as it is written. Control characters are made visible, so that no client or application can forge one."""
    stamp = when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
    if len(text) > _LONGEST_ENTRY:
        text = text[:_LONGEST_ENTRY] + f" ({len(text) - _LONGEST_ENTRY} more characters)"
    first, *rest = text.splitlines() or [""]
    lines = [f"{stamp} {level.value:<7} {who}: {_visible(first)}", *(f"    {_visible(line)}" for line in rest)]
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _visible(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(
        character if character.isprintable() or character == "\t" else repr(character)[1:-1] for character in line
    )


def _may_block(fd: int) -> bool:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode)


def _has_room(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    try:
        return bool(poll.poll(0))
    except OSError:
        return True
