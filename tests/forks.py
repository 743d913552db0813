"""Forks of the tests' own process, which end with the test: also when it fails, and when the tests themselves are killed.

One that was left behind would keep open whatever the tests have inherited: a pipe to who waits for them, or a lock.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self

LONGEST = 120
"""Seconds that one lives at most, whatever becomes of the tests."""


class Forked:
    """A copy of this process that runs `body` and leaves; its exit code is 1 when that raises. Ended with the context."""

    def __init__(self, body: Callable[[], int | None]) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(LONGEST)
                code = body() or 0
            finally:
                os._exit(code)
        self._ended = False

    def wait(self) -> int:
        """Its exit code, when it has ended; negative for a signal."""
        status = os.waitpid(self.pid, 0)[1]
        self._ended = True
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """End it now, if it has not ended; it is a zombie until `wait`, or the end of the context."""
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._ended:
            self.kill()
            self.wait()
