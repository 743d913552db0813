"""A binary upgrade as the running server sees it: start the same command anew, with the sockets, and let go when it serves.

    STARTING ──serving──▶ SERVING ──hand_over──▶ HANDED_OVER
        └──it ended, hung, or was cancelled──▶ ENDING ──reaped──▶ FAILED

Until `hand_over` nothing has changed for this server, so a successor that fails costs nothing. What the new one does is
in `succession.py`. systemd has to be told which process is the main one; that is the loop's affair.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from tricorn.config.environment import UPGRADE_VARIABLE
from tricorn.errors import StartError
from tricorn.parent import handover, processes
from tricorn.parent.handover import Handover, MalformedError, Serving
from tricorn.parent.listeners import Listeners
from tricorn.parent.pid_file import PidFile

_NOT_FOR_A_SUCCESSOR: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", UPGRADE_VARIABLE)
"""Variables that name this very process, or were said to it alone."""
_MORE_TIME: Final = 10.0
"""Seconds for the interpreter to start, beside twice the `start_timeout`: a template's import and a child's start."""
_TIME_TO_END: Final = 5.0
"""Seconds for a successor that has hung up to end by itself."""


class Progress(Enum):
    """How far an upgrade is."""

    STARTING = "starting"
    SERVING = "serving"
    """The new server serves beside this one: call `hand_over`."""
    HANDED_OVER = "handed over"
    ENDING = "ending"
    """It has hung up, or was killed; how it ended is known when it is reaped."""
    FAILED = "failed"
    """It is gone, and this server goes on: see `reason`."""


@dataclass(frozen=True, slots=True)
class Start:
    """How this server was started, as far as it takes to do it again."""

    executable: str
    arguments: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]

    @classmethod
    def of_this_process(cls) -> Start:
        """As things are now: to be called before anything of it is changed."""
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_A_SUCCESSOR}
        return cls(sys.executable or "", tuple(sys.orig_argv[1:]), _directory(), environment)


def refused(pid: int, *, stopping: bool, reloading: bool, upgrading: bool) -> str | None:
    """Why there can be no upgrade now, in a sentence; None if there can be one."""
    if stopping:
        return "the upgrade is refused: the server stops"
    if upgrading:
        return "the upgrade is refused: another one is under way"
    if reloading:
        return "the upgrade is refused: a reload is under way; ask again when it is done"
    if pid == 1:
        return (
            "the upgrade is refused: this server is process 1, and a container ends with that process; "
            "start a new container instead"
        )
    return None


class Upgrade:
    """A successor that was started. Used by the parent's only thread."""

    def __init__(self, pid: int, line: socket.socket, deadline: float, patience: float) -> None:
        self.pid = pid
        self.progress = Progress.STARTING
        self.reason = ""
        """Why it failed, for the log and for whoever asked for the upgrade."""
        self.deadline: float | None = deadline
        """When `expire` has something to do (monotonic seconds)."""
        self._line = line
        self._patience = patience
        self._heard = b""
        self._word: Serving | None = None
        self._killed = False

    def fileno(self) -> int:
        """Readable when there is something to hear: of no use any more once it neither starts nor serves; `close` then."""
        return self._line.fileno()

    def hear(self, now: float) -> Progress:
        """Take what the successor has said. Does not wait."""
        if self.progress not in (Progress.STARTING, Progress.SERVING):
            return self.progress
        try:
            data = self._line.recv(handover.LONGEST_WORD)
        except BlockingIOError:
            return self.progress
        except OSError:
            data = b""
        if not data:
            when = "before it served" if self.progress is Progress.STARTING else "as soon as it served"
            return self._await_its_end(f"the new server hung up {when}", now)
        self._heard += data
        if self.progress is Progress.SERVING or len(self._heard) > handover.LONGEST_WORD:
            return self._give_up("the new server said more than it has to say")
        line, end, _ = self._heard.partition(b"\n")
        if not end:
            return self.progress
        try:
            self._word = handover.decode_serving(line)
        except MalformedError as error:
            return self._give_up(f"the new server said something incomprehensible: {error}")
        if self._word.pid != self.pid:
            return self._give_up(f"the new server calls itself process {self._word.pid}, and {self.pid} was started")
        self._enter(Progress.SERVING)
        return self.progress

    def expire(self, now: float) -> Progress:
        """Act on the deadline."""
        if self.deadline is None or now < self.deadline:
            return self.progress
        if self.progress is Progress.ENDING:
            return self._give_up(self.reason)
        return self._give_up(f"the new server did not serve within {self._patience:.0f} s")

    def reaped(self, ended: Mapping[int, int]) -> Progress:
        """Processes below this one have ended: wait status by pid."""
        if self.pid in ended and self.progress is not Progress.HANDED_OVER:
            if not self._killed:
                self.reason = f"the new server ended: {processes.phrase(ended[self.pid])}; its error log tells why"
            self._enter(Progress.FAILED)
        return self.progress

    def cancel(self, reason: str) -> None:
        """End an upgrade that is not to be, because this server stops. Its children answer what they have read."""
        if self.progress in (Progress.STARTING, Progress.SERVING):
            self._give_up(reason)

    def hand_over(self, listeners: Listeners, pid_file: PidFile | None) -> Progress:
        """Let go: the new server has sockets, their files and the pid file from now on. Only after SERVING.

        HANDED_OVER means that this server has to stop serving; anything else that the new one is gone and nothing has
        changed.
        """
        if self.progress is not Progress.SERVING or self._word is None:
            return self.progress
        if pid_file is not None and self._word.pid_file:
            pid_file.write(self.pid)
        try:
            self._line.send(handover.GO)
        except OSError:
            if pid_file is not None:
                pid_file.write(os.getpid())
            return self._give_up("the new server ended as soon as it served")
        listeners.hand_over(self._word.taken)
        if pid_file is not None and self._word.pid_file:
            pid_file.hand_over()
        self._enter(Progress.HANDED_OVER)
        return self.progress

    def abandon(self) -> None:
        """In a forked template: let go of the line, so that its end is the end of the parent."""
        self._line.close()

    def close(self) -> None:
        """When there is nothing more to hear. The successor goes on; what becomes of a killed one is still told."""
        self._line.close()

    def _await_its_end(self, reason: str, now: float) -> Progress:
        """Whoever hangs up is about to end, and how it ends says more: let it."""
        self.reason = reason
        self._enter(Progress.ENDING)
        self.deadline = now + _TIME_TO_END
        return self.progress

    def _give_up(self, reason: str) -> Progress:
        # Not reaped yet, so the pid is its own. Everybody below it notices, and leaves.
        os.kill(self.pid, signal.SIGKILL)
        self._killed = True
        self.reason = reason
        self._enter(Progress.ENDING)
        return self.progress

    def _enter(self, progress: Progress) -> None:
        self.progress = progress
        self.deadline = None


def begin(start: Start, listeners: Listeners, pid_file: PidFile | None, *, start_timeout: float, now: float) -> Upgrade:
    """Start the successor; it has twice the `start_timeout` and a little more to serve.

    Raises:
        StartError: it cannot be started.
    """
    if not start.executable:
        raise StartError("the upgrade is refused: the interpreter does not tell which program it is; restart instead")
    ours, theirs = socket.socketpair()
    try:
        sockets = tuple(listeners.passed_on())
        locked = (pid_file.path, pid_file.fileno()) if pid_file is not None else None
        description = Handover(theirs.fileno(), sockets, locked).encode()
        fds = [theirs.fileno(), *(passed.fd for passed in sockets), *(() if locked is None else (locked[1],))]
        process = subprocess.Popen(
            [start.executable, *start.arguments],
            cwd=start.directory,
            env={**start.environment, UPGRADE_VARIABLE: description},
            pass_fds=fds,
        )
    except (OSError, ValueError) as error:
        ours.close()
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise StartError(
            f"the upgrade is refused: {start.executable} cannot be started in {start.directory}: {text}"
        ) from error
    finally:
        theirs.close()
    # Whoever reaps everybody else below the parent reaps it, too.
    process.returncode = 0
    ours.setblocking(False)
    patience = 2 * start_timeout + _MORE_TIME
    return Upgrade(process.pid, ours, now + patience, patience)


def _directory() -> str:
    """The working directory by the name it was entered by: a link to the newest release leads to the newest one then."""
    here = os.getcwd()
    entered = os.environ.get("PWD", "")
    try:
        return entered if os.path.isabs(entered) and Path(entered).samefile(here) else here
    except OSError:
        return here
