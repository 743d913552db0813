"""The text stream that an application gets as `wsgi.errors` (PEP 3333): whole lines go to the error log."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from tricorn.logs.error_log import ErrorLog

_LONGEST_LINE: Final = 8 * 1024
"""Characters kept while a line has no end yet; a longer line is written in pieces."""


class ErrorsStream:
    """Collects what is written until a line is whole; each thread has a line of its own, so lines do not mix."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, log: ErrorLog) -> None:
        self._log = log
        self._local = threading.local()

    def write(self, text: str) -> int:
        """Write `text`; every line that is whole now becomes an entry of level error."""
        pending = getattr(self._local, "pending", "") + text
        *lines, rest = pending.split("\n")
        for line in lines:
            self._log.error(f"application: {line}")
        while len(rest) > _LONGEST_LINE:
            self._log.error(f"application: {rest[:_LONGEST_LINE]}")
            rest = rest[_LONGEST_LINE:]
        self._local.pending = rest
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write every item of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write the thread's unfinished line, if it has one."""
        pending = getattr(self._local, "pending", "")
        if pending:
            self._local.pending = ""
            self._log.error(f"application: {pending}")

    def isatty(self) -> bool:
        """Never: colours do not belong into a log."""
        return False

    def writable(self) -> bool:
        """Always."""
        return True

    def readable(self) -> bool:
        """Never."""
        return False
