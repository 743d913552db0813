"""Template and child processes as the parent holds them, and every fork, kill and wait of the parent."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tricorn.child import streams
from tricorn.child.channel import Channel
from tricorn.child.heritage import Heritage
from tricorn.child.messages import FROM_CHILD, FromChild, Reopen, RetireNow, ToChild
from tricorn.policy.census import ChildState, TemplateState
from tricorn.template import main
from tricorn.template.messages import FROM_TEMPLATE, Drop, Fork, FromTemplate, ToTemplate

_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(slots=True, eq=False)
class TemplateHandle:
    """One template process."""

    generation: int
    pid: int
    channel: Channel[FromTemplate, ToTemplate]
    since: float
    state: TemplateState = TemplateState.IMPORTING
    killed: str = ""
    """Why it was killed."""
    reaped: bool = False
    """Its pid may be somebody else's by now."""
    unsafe: bool = False
    failure: tuple[int, str] | None = None
    interface: str = ""

    @property
    def name(self) -> str:
        """For the log."""
        return f"template gen={self.generation} pid={self.pid}"


@dataclass(slots=True, eq=False)
class ChildHandle:
    """One child process, from the order to fork it until it was reaped."""

    generation: int
    slot: int
    template: TemplateHandle
    channel: Channel[FromChild, ToChild]
    since: float
    state: ChildState = ChildState.STARTING
    pid: int | None = None
    """None until the template, or the child itself, has told."""
    pidfd: int | None = None
    killed: str = ""
    """Why it was killed."""
    failure: tuple[int, str] | None = None
    silent_since: float | None = None
    """When its channel came to an end."""
    words: int = 0
    """How many records it has sent since it was last recalled."""
    born: float = 0.0
    """When it was ordered."""
    asked: str = ""
    """Why it is to be replaced; it asked for that itself, or the operator did."""
    deserts: bool = False
    """It leaves, and nobody has told it to."""
    orphaned: bool = field(default=False)
    """Its template is gone, so nobody but the parent can reap it."""

    @property
    def name(self) -> str:
        """For the log."""
        return f"child={self.slot} gen={self.generation} pid={self.pid or 'unknown'}"


def fork_template(heritage: Heritage, now: float, *, preload: bool, abandon: Callable[[], None]) -> TemplateHandle:
    """Fork a template; `abandon` lets go, in the template, of everything that is the parent's alone. Raises OSError."""
    ours, theirs = socket.socketpair()
    try:
        streams.flush()
        # What both know by now is collected by neither, so that a collection does not part the memory they share.
        gc.freeze()
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        _become_template(heritage, ours, theirs, preload=preload, abandon=abandon)
    theirs.close()
    ours.setblocking(False)
    return TemplateHandle(heritage.generation, pid, Channel(ours, FROM_TEMPLATE, carries=True), now)


def _become_template(
    heritage: Heritage, ours: socket.socket, theirs: socket.socket, *, preload: bool, abandon: Callable[[], None]
) -> None:
    """The other side of the fork; never returns. Children of the template end here as well."""
    code = 1
    try:
        abandon()
        ours.close()
        code = main.run(heritage, theirs, preload=preload)
    except BaseException:  # an error of ours: nothing above may run in this process
        traceback.print_exc()
    finally:
        os._exit(code)


def order_child(template: TemplateHandle, slot: int, now: float) -> ChildHandle:
    """Have the template fork a child. Raises OSError when the template does not listen."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    try:
        template.channel.send(Fork(slot), [theirs.fileno()])
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return ChildHandle(template.generation, slot, template, Channel(ours, FROM_CHILD), now, born=now)


def tell_drop(template: TemplateHandle) -> None:
    """Ask the template to leave when its last child is gone. Raises OSError when it does not listen."""
    template.channel.send(Drop())


def tell(child: ChildHandle, word: ToChild) -> None:
    """Tell a child something; one that does not listen is dead, or dying, and its end is reported soon."""
    try:
        child.channel.send(word)
    except OSError:
        return


def tell_retire(child: ChildHandle, *, sweep: bool) -> None:
    """Ask a child to retire; one that is still importing hears a signal sooner than a word."""
    tell(child, RetireNow(sweep))
    if child.state is ChildState.STARTING:
        _signal(child, signal.SIGTERM)


def hand_logs(peer: ChildHandle | TemplateHandle, error: int | None, access: int | None) -> None:
    """Have a process write to other log files: descriptors of those that were opened anew. Raises OSError."""
    descriptors = [fd for fd in (error, access) if fd is not None]
    peer.channel.send(Reopen(error is not None, access is not None), descriptors)


def kill_child(child: ChildHandle, reason: str) -> None:
    """Kill a child; without a pid yet, it is killed as soon as that is known."""
    child.killed = reason
    _signal(child, signal.SIGKILL)


def kill_template(template: TemplateHandle, reason: str) -> None:
    """Kill a template. Its pid is safe: nobody but the parent reaps it, which is noted."""
    template.killed = reason
    if not template.reaped:
        os.kill(template.pid, signal.SIGKILL)


def forked(child: ChildHandle, pid: int, pidfd: int | None) -> None:
    """The pid is known now: catch up on what was meant for it."""
    child.pid = pid
    if pidfd is not None:
        child.pidfd = pidfd
    if child.killed:
        _signal(child, signal.SIGKILL)
    elif child.state is ChildState.DRAINING:
        _signal(child, signal.SIGTERM)


def reap() -> dict[int, int]:
    """Everyone below who has ended, wait status by pid; orphans that the parent has adopted included."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def is_lost(pid: int) -> bool:
    """Whether a process is no child of the parent's, alive or dead; looks without reaping."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def belongs(pid: int, pidfd: int | None, parents: frozenset[int]) -> bool:
    """Whether a process is a child of one of `parents`, and `pidfd` stands for it; true of one that is gone already.

    A template, in which application code has run, names the processes that the parent, perhaps root, will signal. Where
    the system does not tell (anything but Linux), only what can never be a child is refused.
    """
    if pid <= 1:
        return False
    try:
        if pidfd is not None:
            told = Path(f"/proc/self/fdinfo/{pidfd}").read_text("ascii")
            if not any(line.split() in (["Pid:", str(pid)], ["Pid:", "-1"]) for line in told.splitlines()):
                return False
        # "pid (any text) state ppid ...": the text may hold blanks and brackets, so count from its last bracket.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1]) in parents
    except OSError:
        return True


def adopt_orphans() -> bool:
    """Have the children of a template that died become the parent's, where the system offers that (Linux)."""
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def is_kill(status: int) -> bool:
    """Whether this wait status is the end by SIGKILL, which the kernel sends too when memory has run out."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def phrase(status: int) -> str:
    """A wait status in words, for the log."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        core = " (core dumped)" if os.WCOREDUMP(status) else ""
        try:
            return f"killed by {signal.Signals(number).name}{core}"
        except ValueError:
            return f"killed by signal {number}{core}"
    if os.WIFEXITED(status):
        return f"exit code {os.WEXITSTATUS(status)}"
    # No wait gives this; a template may say anything.
    return f"wait status {status}"


def _signal(child: ChildHandle, number: signal.Signals) -> None:
    try:
        if child.pidfd is not None:
            signal.pidfd_send_signal(child.pidfd, number)
        elif child.pid is not None:
            os.kill(child.pid, number)
    except OSError:
        # Dead already, its end is reported soon; or it has become somebody who cannot be signalled, and leaves when its
        # channel ends.
        return
