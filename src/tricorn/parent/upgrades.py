"""Binary upgrades as the loop handles them, from both sides: who asked hears the outcome, and systemd who the parent is.

How a successor is started and how it takes over is in `upgrade.py` and `succession.py`; here both are tied to the loop.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Mapping

from tricorn.control.messages import Outcome
from tricorn.errors import StartError
from tricorn.parent import upgrade
from tricorn.parent.control import ControlSocket
from tricorn.parent.pid_file import PidFile
from tricorn.parent.server import Server
from tricorn.parent.succession import Succession
from tricorn.parent.upgrade import Progress, Start, Upgrade
from tricorn.policy.census import Wish

Asker = Callable[[Outcome], None]
"""Told once how the upgrade ended."""


class Upgrades:
    """At most one at a time. Used by the parent's only thread."""

    def __init__(
        self,
        server: Server,
        start: Start,
        succession: Succession | None,
        pid_file: PidFile | None,
        selector: selectors.BaseSelector,
    ) -> None:
        """`succession` is what this server itself was handed, if it is a successor."""
        self._server = server
        self._start = start
        self._succession = succession
        self._pid_file = pid_file
        self._selector = selector
        self._upgrade: Upgrade | None = None
        self._asker: Asker | None = None
        self.control: ControlSocket | None = None
        """Where the operator asks; it is handed over as well."""
        self.on_alone: Callable[[], None] = _nothing
        """Called in a successor when the server before has let go of everything."""

    # The old server.

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to do."""
        return self._upgrade.deadline if self._upgrade is not None else None

    def ask(self, asker: Asker | None, *, reloading: bool) -> None:
        """Start a successor, unless there can be none now."""
        server = self._server
        stopping = server.wish is not Wish.SERVE
        upgrading = self._upgrade is not None or self._succession is not None
        refusal = upgrade.refused(server.pid, stopping=stopping, reloading=reloading, upgrading=upgrading)
        if refusal is None:
            try:
                self._begin(asker)
            except StartError as error:
                refusal = str(error)
        if refusal is not None:
            server.log.error(refusal)
            server.history.note("an upgrade is refused", refusal)
            if asker is not None:
                asker(Outcome(2, refusal))

    def _begin(self, asker: Asker | None) -> None:
        server = self._server
        timeout = server.current.settings.lifecycle.start_timeout
        begun = upgrade.begin(self._start, server.listeners, self._pid_file, start_timeout=timeout, now=server.clock())
        self._upgrade, self._asker = begun, asker
        self._selector.register(begun.fileno(), selectors.EVENT_READ, self)
        server.log.info(f"upgrades: a new server (pid {begun.pid}) is tried out")
        server.history.note("a new server is started", "the operator wants an upgrade")

    def ready(self, events: int) -> None:
        """The line to the other server can be read."""
        del events
        if self._upgrade is not None:
            # Who has just been told to stop hands nothing over; `expire` cancels the upgrade.
            if self._server.wish is Wish.SERVE:
                self._go_on(self._upgrade, self._upgrade.hear(self._server.clock()))
        elif self._succession is not None and self._succession.hear():
            self._take_over(self._succession)

    def expire(self, now: float) -> None:
        """Act on the deadline; and a server that stops has no successor."""
        begun = self._upgrade
        if begun is None:
            return
        if self._server.wish in (Wish.STOP, Wish.STOP_AT_ONCE):
            begun.cancel("this server stops")
            self._go_on(begun, begun.progress)
        else:
            self._go_on(begun, begun.expire(now))

    def reaped(self, ended: Mapping[int, int]) -> None:
        """Processes below this one have ended."""
        if self._upgrade is not None:
            self._go_on(self._upgrade, self._upgrade.reaped(ended))

    def _go_on(self, begun: Upgrade, progress: Progress) -> None:
        """Follow where the upgrade has got to."""
        if progress is Progress.SERVING:
            if self.control is not None:
                self.control.give_way()
            progress = begun.hand_over(self._server.listeners, self._pid_file)
            if self.control is not None and progress is not Progress.HANDED_OVER:
                self.control.listen_again()
        if progress is not Progress.STARTING and begun.fileno() >= 0:
            self._selector.unregister(begun.fileno())
            begun.close()
        if progress is Progress.HANDED_OVER:
            self._handed_over(begun)
        elif progress is Progress.FAILED:
            self._failed(begun)

    def _handed_over(self, begun: Upgrade) -> None:
        server = self._server
        text = f"upgraded: the new server (pid {begun.pid}) serves, this one leaves"
        server.log.info(text)
        server.history.note("handed over", text)
        server.notifier.mainpid(begun.pid)
        server.wish, server.why = Wish.HAND_OVER, f"a new server (pid {begun.pid}) has taken over"
        self._end(Outcome(0, text))

    def _failed(self, begun: Upgrade) -> None:
        text = f"the upgrade failed, this server goes on: {begun.reason}"
        self._server.log.error(text)
        self._server.history.note("the upgrade failed", begun.reason)
        self._end(Outcome(5, text))

    def _end(self, outcome: Outcome) -> None:
        self._upgrade = None
        asker, self._asker = self._asker, None
        if asker is not None:
            asker(outcome)

    # The new server.

    @property
    def succeeds(self) -> bool:
        """Whether another server has started this one, and has not let go yet."""
        return self._succession is not None

    def serves(self) -> None:
        """The first generation serves: say so to the old server, if there is one."""
        if self._succession is not None:
            self._selector.register(self._succession.fileno(), selectors.EVENT_READ, self)
            self._succession.tell_serving()

    def _take_over(self, succession: Succession) -> None:
        self._selector.unregister(succession.fileno())
        succession.close()
        self._succession = None
        self._server.listeners.take_over()
        if self._pid_file is not None and not self._pid_file.confirm():
            self._server.log.error(f"pid_file: {self._pid_file.path} cannot be written; it may name the server before")
        self._server.log.info("has taken over from the server before")
        self.on_alone()

    def abandon(self) -> None:
        """In a forked template: let go of the lines."""
        if self._upgrade is not None and self._upgrade.fileno() >= 0:
            self._upgrade.abandon()
        if self._succession is not None:
            self._succession.abandon()


def _nothing() -> None:
    """Nobody waits for the server to be alone."""
