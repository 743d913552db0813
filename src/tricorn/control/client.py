"""The client's end of a control socket: connect, ask, hear the answer, see the server end. Blocking, with deadlines."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tricorn.control.credentials import peer_of
from tricorn.control.messages import (
    LONGEST_ANSWER,
    AnswerError,
    Done,
    Request,
    encode_request,
    parse_answer,
)
from tricorn.control.places import is_alive
from tricorn.errors import TricornError

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a server to take a connection: its loop never waits for anything, so this is plenty."""
_LOOK_AGAIN: Final = 0.1
"""Seconds between two looks at a server that can only be watched by asking (where there are no pidfds)."""


class NoAnswerError(TricornError):
    """No server was found, or it went away, or it did not answer in time."""

    exit_code = 6


class Conversation:
    """One connection to a server: one request. To be used in a `with` statement."""

    def __init__(self, path: Path) -> None:
        """Connect. Raises NoAnswerError."""
        self.path = path
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._received = bytearray()
        self._pidfd: int | None = None
        try:
            self._connect(path)
            peer = peer_of(self._end)
            self.pid = peer.pid if peer is not None else None
            """The server's parent process, as the kernel knows it; None where it does not tell."""
            self._watch()
        except OSError as error:
            self.__exit__(None, None, None)
            raise NoAnswerError(f"no server answers at {path}: {_reason(error)}") from None

    def _connect(self, path: Path) -> None:
        """Connect, again and again while the server's queue is full: a Unix socket then refuses at once (unix(7))."""
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while True:
            try:
                self._bound(deadline)
                self._end.connect(os.fspath(path))
                return
            except BlockingIOError:
                time.sleep(_LOOK_AGAIN / 2)

    def _watch(self) -> None:
        """Hold on to the process now, while it certainly is the server: later its number may be another's."""
        if self.pid is not None and hasattr(os, "pidfd_open"):
            try:
                self._pidfd = os.pidfd_open(self.pid)
            except OSError:  # an old kernel, or a sandbox; then the socket is watched
                self._pidfd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def ask(
        self, request: Request, told: Callable[[str], object], deadline: float | None, *, ends: bool = False
    ) -> Done | None:
        """Send the request and hear its answer; `told` gets each progress as it comes.

        `deadline` is monotonic seconds, None to wait as long as it takes. None is returned when the server closed the
        connection without a last word, which only `ends` allows: a server that is told to stop has none.

        Raises:
            NoAnswerError: it went away, did not answer by the deadline, or speaks another language.
        """
        try:
            self._bound(deadline)
            # Who does not listen may have said why, before it closed.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._end.sendall(encode_request(request))
            while (line := self._line(deadline)) is not None:
                answer = parse_answer(line)
                if isinstance(answer, Done):
                    return answer
                told(answer.text)
        except TimeoutError:
            raise NoAnswerError(f"the server at {self.path} has not answered in time") from None
        except AnswerError as error:
            raise NoAnswerError(f"{self.path}: {error}") from None
        except OSError as error:
            raise NoAnswerError(f"the server at {self.path} went away without an answer: {error.strerror}") from None
        if not ends:
            raise NoAnswerError(f"the server at {self.path} went away without an answer")
        return None

    def _line(self, deadline: float | None) -> bytes | None:
        """The next line without its end; None at the end of the connection."""
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > 2 * LONGEST_ANSWER:
                raise AnswerError("its answer is too long to be one")
            self._bound(deadline)
            data = self._end.recv(1 << 16)
            if not data:
                return None
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _bound(self, deadline: float | None) -> None:
        if deadline is None:
            self._end.settimeout(None)
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._end.settimeout(left)

    def wait_for_end(self, deadline: float | None) -> bool:
        """Wait until the server's process is gone; False if it is still there at the deadline."""
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if self._pidfd is not None:
                return bool(_poll(self._pidfd, left))
            # A server listens until its end: who cannot be connected to any more is gone.
            if not is_alive(self.path):
                return True
            if left == 0.0:
                return False
            time.sleep(_LOOK_AGAIN if left is None else min(_LOOK_AGAIN, left))


def _poll(fd: int, seconds: float | None) -> list[tuple[int, int]]:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return poll.poll(None if seconds is None else seconds * 1000)


def _reason(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such socket"
        case ConnectionRefusedError():
            return "its server is gone"
        case PermissionError():
            return "only root and the user that runs the server may use it"
        case TimeoutError():
            return "it is too busy to take the connection"
        case _:
            return error.strerror or str(error)
