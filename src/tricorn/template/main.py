"""The life of a template: prepare, import, fork on order, reap, report. Run by the only thread of its process.

`run` returns twice over, so to say: in the template with the template's exit code, and in every child with the child's,
because a child unwinds the template's stack before it begins its own life.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import time
import traceback
from collections.abc import Callable
from types import FrameType

from tricorn.child import serve
from tricorn.child.channel import Channel, ProtocolError
from tricorn.child.heritage import Heritage
from tricorn.child.messages import Reopen
from tricorn.child.reopening import reopen
from tricorn.child.signals import do_nothing, reclaim, shield
from tricorn.child.title import set_title
from tricorn.config.settings import Preload
from tricorn.errors import TricornError
from tricorn.logs import ErrorLog
from tricorn.template import application, fork_safety, privileges, surroundings
from tricorn.template.application import Loaded
from tricorn.template.bereavement import ends_with_parent
from tricorn.template.fork import Birth, fork_child, open_pidfd, reap
from tricorn.template.messages import (
    TO_TEMPLATE,
    Drop,
    Forked,
    ForkFailed,
    FromTemplate,
    Imported,
    Reaped,
    TemplateFailed,
    ToTemplate,
    Unsafe,
)
from tricorn.template.warm_up import SHARED_ROUNDS, warm_up

_LONGEST_TEXT = 48 * 1024
"""Characters of a failure's text that are told."""

Load = Callable[[], Callable[..., object]]


def run(heritage: Heritage, end: socket.socket, *, preload: bool) -> int:
    """Be a template (or one of its children) until the end; returns the exit code for `os._exit`."""
    set_title(heritage.settings.environment.process_name, "template")
    template = _Template(heritage, end)
    outcome = template.live(preload=preload)
    if isinstance(outcome, int):
        return outcome
    birth, load = outcome
    template.abandon()
    del template
    return serve.run(heritage, birth.slot, birth.end, load)


class _Template:
    """The template's channel, its children, and its wait."""

    def __init__(self, heritage: Heritage, end: socket.socket) -> None:
        self._heritage = heritage
        self._log = heritage.log(f"template gen={heritage.generation} pid={os.getpid()}")
        self._channel: Channel[ToTemplate, FromTemplate] = Channel(end, TO_TEMPLATE, carries=True)
        self._wake_end, self._wake = socket.socketpair()
        for wake in (self._wake_end, self._wake):
            wake.setblocking(False)
        self._children: dict[int, int] = {}
        """Slot by pid."""
        self._dropped = False
        self._kill_at: float | None = None
        """When children are killed that have outlived the parent."""

    def live(self, *, preload: bool) -> int | tuple[Birth, Load]:
        """The exit code, or what a child needs to begin."""
        shield(do_nothing)
        try:
            load = self._prepare(preload=preload)
        except TricornError as error:
            return self._fail(error.exit_code, str(error))
        except BaseException:  # whatever it is, the parent has to hear of it
            return self._fail(1, traceback.format_exc().strip())
        if load is None:
            return 0
        reclaim(do_nothing)
        signal.signal(signal.SIGCHLD, _note)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            birth = self._serve_parent()
        except ProtocolError as error:
            return self._fail(1, f"the parent cannot be understood: {error}")
        except OSError:
            # The channel broke in the middle of a word: the parent is gone.
            return 0
        return 0 if birth is None else (birth, load)

    def abandon(self) -> None:
        """In a child: let go of what is the template's."""
        signal.set_wakeup_fd(-1)
        self._channel.close()
        self._wake_end.close()
        self._wake.close()

    def _prepare(self, *, preload: bool) -> Load | None:
        """Everything before the first fork; None if the import left something that must not be inherited."""
        settings = self._heritage.settings
        privileges.drop(settings.identity)
        surroundings.apply(settings.environment)
        if not preload:
            self._freeze()
            self._tell(Imported(""))
            return self._load_late
        before = fork_safety.open_descriptors()
        with ends_with_parent(self._channel.fileno()):
            loaded = application.load(settings.application)
            self._warm_up(loaded, self._log, SHARED_ROUNDS)
        gc.collect()
        found = fork_safety.findings(before)
        if found and settings.lifecycle.preload is Preload.AUTO:
            self._tell(Unsafe(found))
            return None
        if found:
            self._log.warning(
                f"the import left behind {', '.join(found)}, which children should not inherit; "
                "preload = on keeps it nevertheless"
            )
        self._freeze()
        self._tell(Imported(loaded.interface.value))
        return lambda: loaded.callable

    def _load_late(self) -> Callable[..., object]:
        """In a child: import the application for this child alone."""
        loaded = application.load(self._heritage.settings.application)
        log = self._heritage.log(f"child gen={self._heritage.generation} pid={os.getpid()}")
        self._warm_up(loaded, log, rounds=1)
        return loaded.callable

    def _warm_up(self, loaded: Loaded, log: ErrorLog, rounds: int) -> None:
        settings = self._heritage.settings
        warm_up(loaded.callable, settings.lifecycle.warm_up, settings.gateway.root_path, log, rounds)

    def _freeze(self) -> None:
        """Collections in children then leave the memory alone that they share with the template."""
        gc.collect()
        gc.freeze()

    def _serve_parent(self) -> Birth | None:
        """Fork and reap until dropped or orphaned; returns a Birth in a child, None in the template."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(self._wake_end, selectors.EVENT_READ)
            while True:
                if self._channel.closed and self._kill_at is None:
                    self._kill_at = time.monotonic() + self._heritage.settings.lifecycle.graceful_timeout
                    selector.unregister(self._channel)
                self._reap()
                if not self._children and (self._dropped or self._channel.closed):
                    return None
                selector.select(self._patience())
                self._forget_wakes()
                if self._kill_at is None:
                    birth = self._obey()
                    if birth is not None:
                        return birth

    def _patience(self) -> float | None:
        """How long to wait for the next event; kills children whose time is over when nobody else is left to do it."""
        if self._kill_at is None:
            return None
        left = self._kill_at - time.monotonic()
        if left > 0:
            return left
        for pid, slot in self._children.items():
            self._log.error(f"child {slot} (pid {pid}) is killed: it has outlived the parent")
            os.kill(pid, signal.SIGKILL)
        self._kill_at = time.monotonic() + 1.0
        return 1.0

    def _obey(self) -> Birth | None:
        for order in self._channel.receive():
            if isinstance(order, Drop):
                self._drop()
                continue
            if isinstance(order, Reopen):
                reopen(self._heritage.logs, order, self._channel)
                continue
            end = socket.socket(fileno=self._channel.take_descriptor())
            try:
                forked = fork_child(order.slot, end)
            except OSError as error:
                self._tell(ForkFailed(order.slot, f"the system gives no process: {error.strerror}"))
                end.close()
                continue
            if isinstance(forked, Birth):
                return forked
            end.close()
            self._children[forked] = order.slot
            self._tell_forked(order.slot, forked)
        return None

    def _drop(self) -> None:
        """No more forks: let go of the listening sockets, so that nothing but serving children keeps them open."""
        if not self._dropped:
            self._dropped = True
            for fd in self._heritage.listeners:
                os.close(fd)

    def _tell_forked(self, slot: int, pid: int) -> None:
        pidfd = open_pidfd(pid)
        if pidfd is None:
            self._tell(Forked(slot, pid, pinned=False))
            return
        try:
            self._channel.send(Forked(slot, pid, pinned=True), [pidfd])
        finally:
            os.close(pidfd)

    def _reap(self) -> None:
        for pid, slot in list(self._children.items()):
            status = reap(pid)
            if status is not None:
                del self._children[pid]
                self._tell(Reaped(slot, pid, status))

    def _fail(self, code: int, text: str) -> int:
        self._tell(TemplateFailed(code, text[:_LONGEST_TEXT]))
        return code

    def _tell(self, record: FromTemplate) -> None:
        try:
            self._channel.send(record)
        except OSError:
            # The parent is gone; the end of the channel says so at the next wait.
            return

    def _forget_wakes(self) -> None:
        try:
            while self._wake_end.recv(4096):
                pass
        except BlockingIOError:
            return


def _note(number: int, frame: FrameType | None) -> None:
    """SIGCHLD: being handled at all is what wakes the wait."""
    del number, frame
