"""A child's end of its channel to the parent: what it tells, and what it does when it is told to retire.

Used by the main thread of a child only, but for `asked`, which is also a signal handler's business (on that thread).
"""

from __future__ import annotations

import os
import selectors
import signal
import traceback

from tricorn.child.channel import Channel, ProtocolError
from tricorn.child.messages import (
    Asked,
    Begun,
    Failed,
    FromChild,
    Leaving,
    PartNow,
    Ready,
    Reopen,
    RestNow,
    RetireNow,
    ServeAgain,
    ToChild,
)
from tricorn.child.reopening import reopen
from tricorn.logs import ErrorLog, LogFiles
from tricorn.mpm import Driver

_WORN = {"timeout": "a thread does not come back from a request that took longer than timeout"}
"""Bounds of a child's life that nothing reaches: how it is said then."""
_LONGEST_TEXT = 32 * 1024
"""Characters of a failure's text that are told."""


class ToldToLeave(BaseException):
    """Somebody asked the child to leave before it had anything to finish; not for applications to catch."""


class ParentChannel:
    """The parent, as seen from a child; the `Superior` of the MPMs."""

    def __init__(
        self, channel: Channel[ToChild, FromChild], log: ErrorLog, logs: LogFiles, graceful_timeout: float
    ) -> None:
        self._channel = channel
        self._log = log
        self._logs = logs
        self._graceful_timeout = graceful_timeout
        self._driver: Driver | None = None
        self._retired = False
        self._announced = False
        """Whether the parent was told of what comes to pass unasked."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ)
        self._bell_heard, self.bell = os.pipe()
        """Writing to `bell` ends a wait: the engine does, signals do, and threads that are done."""
        for fd in (self._bell_heard, self.bell):
            os.set_blocking(fd, False)
        self._selector.register(self._bell_heard, selectors.EVENT_READ)
        self.exit_code = 0
        """What the child will leave with."""

    def attach(self, driver: Driver) -> None:
        """From now on there is something to finish: retiring means to retire the driver."""
        self._driver = driver
        if self._retired:
            # Told before, and the application has swallowed it during its import.
            driver.retire()

    def arm(self) -> None:
        """From now on a signal rings the bell: one that comes just before a wait must not be missed."""
        signal.set_wakeup_fd(self.bell, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Readable when there is something to attend to; a selector is a descriptor that stands for several."""
        return self._selector.fileno()

    def begun(self) -> None:
        """The first word."""
        self._tell(Begun(os.getpid()))

    def ready(self) -> None:
        """The child serves."""
        self._tell(Ready())

    def hear(self) -> None:
        """Attend to what there is, without waiting."""
        self._attend(0)

    def wait(self) -> None:
        """Wait until there is something to attend to, and attend to it."""
        self._attend(None)

    def ring(self) -> None:
        """End a `wait`. Any thread."""
        try:
            os.write(self.bell, b"\0")
        except BlockingIOError:
            # The pipe is full: it has rung already.
            return

    def _attend(self, timeout: float | None) -> None:
        ready = {key.fd for key, _ in self._selector.select(timeout)}
        if self._bell_heard in ready:
            self._silence_bell()
            if self._driver is not None and (bound := self._driver.worn()):
                self._ask(_WORN.get(bound, f"{bound} is reached"))
        if self._channel.fileno() in ready:
            self._listen()

    def _listen(self) -> None:
        try:
            for word in self._channel.receive():
                self._obey(word)
        except ProtocolError as error:
            self._log.error(f"the parent cannot be understood: {error}")
            self._retire()
        if self._channel.closed:
            self._orphaned()

    def _obey(self, word: ToChild) -> None:
        match word:
            case RetireNow(sweep):
                self._retire(sweep=sweep)
            case PartNow() if self._driver is not None:
                self._driver.part()
            case RestNow() if self._driver is not None:
                self._driver.rest()
            case ServeAgain() if self._driver is not None:
                if self._driver.resume():
                    self._tell(Ready())
            case Reopen():
                reopen(self._logs, word, self._channel)
            case _:
                raise ProtocolError(f"{type(word).__name__} before the child serves")

    def _silence_bell(self) -> None:
        try:
            while os.read(self._bell_heard, 4096):
                pass
        except BlockingIOError:
            return

    def asked(self) -> None:
        """The operator signalled this child directly: serve until the parent has replaced it, or has told it to leave.

        A signal that the whole tree gets (a terminal, a platform) is therefore no more than the parent's own.
        """
        if self._driver is None:
            self._leave("asked by a signal")
        else:
            self._ask("asked by a signal")

    def returned(self) -> None:
        """A thread came back from the driver; if nobody asked for that, tell the parent."""
        self._leave("its driver came to an end")

    def failed(self, error: BaseException) -> None:
        """A thread was thrown out of the driver."""
        text = "".join(traceback.format_exception(error)).strip()
        self._log.error(f"a thread cannot go on; the child leaves\n{text}")
        self.exit_code = 1
        self._leave("one of its threads failed")

    def broken(self, code: int, text: str) -> None:
        """The child cannot begin to serve."""
        self.exit_code = code
        self._tell(Failed(code, text[:_LONGEST_TEXT]))

    def _ask(self, reason: str) -> None:
        if not self._retired and not self._announced:
            self._announced = True
            self._tell(Asked(reason))

    def _leave(self, reason: str) -> None:
        if not self._retired:
            self._tell(Leaving(reason))
        self._retire()

    def over(self) -> None:
        """The child has served, or never will: there is nothing left to retire."""
        self._retired = True

    def _retire(self, *, sweep: bool = False) -> None:
        first, self._retired = not self._retired, True
        if self._driver is not None:
            self._driver.retire(sweep)
        elif first:
            raise ToldToLeave

    def _orphaned(self) -> None:
        """The parent is gone. Nobody is left to kill this child if it hangs, so it sees to that itself."""
        self._log.error(f"the parent is gone; leaving within {self._graceful_timeout:g} s")
        # The end of a channel stays readable for ever: nobody has to be woken by it again.
        self._selector.unregister(self._channel)
        # The default action of SIGALRM ends the process whatever the interpreter is doing.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, max(self._graceful_timeout, 0.001))
        self._retire()

    def _tell(self, record: FromChild) -> None:
        try:
            self._channel.send(record)
        except OSError:
            # The parent is gone; the end of the channel says so to whoever waits for it.
            return
