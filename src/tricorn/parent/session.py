"""One client of the control socket: its request in, its answers out. Run by the parent's loop, never waits.

The states, in order, each with what ends it: READING (a whole line, or too late, or too long), WAITING (the outcome, or
the client is gone), ANSWERING (the client has taken everything, or too late), CLOSED.
"""

from __future__ import annotations

import selectors
import socket
import traceback
from collections.abc import Callable
from enum import Enum
from typing import Final

from tricorn.control.credentials import Peer
from tricorn.control.messages import (
    LONGEST_ANSWER,
    LONGEST_REQUEST,
    Done,
    Outcome,
    Progress,
    Request,
    RequestError,
    Verb,
    encode_answer,
    parse_request,
)
from tricorn.errors import ConfigError, TricornError
from tricorn.logs import ErrorLog
from tricorn.parent.operations import Operations, carry_out

PATIENCE: Final = 10.0
"""Seconds that a client has to send its request, and again to take the answer."""
_QUIET: Final = frozenset({Verb.STATUS, Verb.WHY})
"""Verbs that change nothing, and are not worth a line in the log."""


class State(Enum):
    """Where the conversation is."""

    READING = "reading"
    WAITING = "waiting"
    ANSWERING = "answering"
    CLOSED = "closed"


class Session:
    """A conversation with one client."""

    def __init__(
        self,
        end: socket.socket,
        peer: Peer,
        operations: Operations,
        log: Callable[[], ErrorLog],
        clock: Callable[[], float],
        watch: Callable[[Session, int], None],
    ) -> None:
        """`end` does not block. `log` gives the log of the moment: a reload may open another while this goes on.
        `watch` tells the loop which events matter from now on; 0 is none, for ever.
        """
        self.state = State.READING
        self.deadline: float | None = clock() + PATIENCE
        """When it is given up (monotonic seconds)."""
        self._end = end
        self._peer = peer
        self._operations = operations
        self._log = log
        self._clock = clock
        self._watch = watch
        self._received = bytearray()
        self._unsent = bytearray()
        self._watched = 0
        self._watch_for(selectors.EVENT_READ)

    def fileno(self) -> int:
        """The descriptor of its socket."""
        return self._end.fileno()

    def ready(self, events: int) -> None:
        """Go on, after the loop saw these events."""
        if events & selectors.EVENT_READ and self.state in (State.READING, State.WAITING):
            self._receive()
        if events & selectors.EVENT_WRITE and self.state is not State.CLOSED:
            self._send()

    def _receive(self) -> None:
        """One read: whoever sends a lot takes its turn between the server's other business."""
        try:
            data = self._end.recv(LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data or self.state is State.WAITING:
            # The end; or more than the one request. In both cases nobody there waits for the outcome as a client does.
            self.close()
            return
        self._received += data
        line, newline, _ = self._received.partition(b"\n")
        if newline and len(line) < LONGEST_REQUEST:
            self._heed(bytes(line))
        elif len(self._received) >= LONGEST_REQUEST:
            self.tell(Done(Outcome(ConfigError.exit_code, f"a request is one line of at most {LONGEST_REQUEST} bytes")))

    def _heed(self, line: bytes) -> None:
        self._received.clear()
        self.state, self.deadline = State.WAITING, None
        try:
            request = parse_request(line)
            self._note(request)
            carry_out(request, self._operations, self)
        except RequestError as error:
            self.tell(Done(Outcome(ConfigError.exit_code, str(error))))
        except TricornError as error:
            self.tell(Done(Outcome(error.exit_code, str(error))))
        except Exception as error:  # an error of ours in one command is no reason to end what serves
            self._log().error(f"a command of the control socket failed\n{traceback.format_exc().strip()}")
            text = f"the server could not do that ({type(error).__name__}); its error log says more"
            self.tell(Done(Outcome(TricornError.exit_code, text)))

    def _note(self, request: Request) -> None:
        if request.verb not in _QUIET:
            who = f"user {self._peer.user}" + (f", pid {self._peer.pid}" if self._peer.pid is not None else "")
            self._log().info(f"{request.verb.value} is asked for at the control socket ({who})")

    def tell(self, answer: Progress | Done) -> None:
        """Say something, as far as the client takes it; the rest follows when it does. After `Done` the session ends."""
        if self.state not in (State.READING, State.WAITING):
            return
        try:
            line = encode_answer(answer)
        except (TypeError, ValueError) as error:
            self._log().error(f"an answer of the control socket is no JSON data: {error}")
            answer = Done(
                Outcome(TricornError.exit_code, "the server's answer cannot be sent; its error log says more")
            )
            line = encode_answer(answer)
        if len(self._unsent) + len(line) > LONGEST_ANSWER:
            answer = Done(Outcome(TricornError.exit_code, "the answer is too long to be sent"))
            line = encode_answer(answer)
        self._unsent += line
        if isinstance(answer, Done):
            self.state, self.deadline = State.ANSWERING, self._clock() + PATIENCE
        self._send()

    def _send(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._end.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self.state is State.ANSWERING:
            if self._unsent:
                self._watch_for(selectors.EVENT_WRITE)
            else:
                self.close()
        elif self.state is not State.CLOSED:
            self._watch_for(selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0))

    def _watch_for(self, events: int) -> None:
        if events != self._watched:
            self._watched = events
            self._watch(self, events)

    def expire(self, now: float) -> None:
        """Give it up if its time is over."""
        if self.deadline is None or now < self.deadline:
            return
        if self.state is State.READING:
            self.tell(Done(Outcome(ConfigError.exit_code, f"no whole request came within {PATIENCE:.0f} s")))
        self.close()

    def close(self) -> None:
        """The end of the conversation; an outcome that comes later is for nobody."""
        if self.state is not State.CLOSED:
            self.state, self.deadline = State.CLOSED, None
            self._watch_for(0)
            self._end.close()

    def abandon(self) -> None:
        """In a forked process: let go of the descriptor. What the loop waits for is the parent's and stays."""
        self.state, self.deadline = State.CLOSED, None
        self._end.close()
