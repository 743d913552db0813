"""The control socket: made for its owner alone, bounded, and gone with the server. Run by the parent's loop, never waits.

The conversations are in `session.py`, what can be asked for in `operations.py`. The loop gives its selector; for what is
ready it calls `ready(events)` of the object that it finds in `data`, and it minds `deadline` and `expire`.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tricorn.config.settings import Listen, UnixAddress
from tricorn.control.credentials import Peer, peer_of
from tricorn.control.messages import Done, Outcome, encode_answer
from tricorn.control.places import SUFFIX, is_alive, make_directory, sockets
from tricorn.errors import ConfigError, ListenError
from tricorn.logs import ErrorLog
from tricorn.parent import unix_socket
from tricorn.parent.operations import Operations
from tricorn.parent.session import Session

MOST_SESSIONS: Final = 16
"""Clients at once; one more is told so and sent away."""
_AT_ONCE: Final = 16
"""Connections that are accepted before the loop sees to its other business."""
_PAUSE: Final = 1.0
"""Seconds without accepting when the system gives no descriptor."""
_WARNING_EVERY: Final = 60.0
"""Seconds between two warnings of users who may not use it."""
_BACKLOG: Final = 16
_MODE: Final = 0o600


class ControlSocket:
    """The listening socket and its conversations. Used by the parent's only thread."""

    def __init__(self, path: Path, pid: int, operations: Operations, log: ErrorLog, clock: Callable[[], float]) -> None:
        """Listen at `path`; a socket that a dead server has left there is replaced. `pid` is the parent's.

        Raises:
            ListenError: a living server has its socket there, or there can be none.
        """
        self.path = path.absolute()
        self.log = log
        """The log of the moment; the loop changes it when a reload has opened another."""
        self._pid = pid
        self._user = os.geteuid()
        self._operations = operations
        self._clock = clock
        self._selector: selectors.BaseSelector | None = None
        self._sessions: set[Session] = set()
        self._resume: float | None = None
        self._warned: float | None = None
        self._end, self._remove = _listen(self.path)

    def register(self, selector: selectors.BaseSelector) -> None:
        """Have the loop wait for clients, and for whom it talks to; `data` of each key has `ready(events)`."""
        self._selector = selector
        selector.register(self._end, selectors.EVENT_READ, self)

    def ready(self, events: int) -> None:
        """Accept those who wait, some at a time."""
        del events
        for _ in range(_AT_ONCE):
            if self._end.fileno() < 0:
                return
            try:
                end, _ = self._end.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                # Without a pause the loop would turn for ever: whoever waits stays readable.
                self.log.warning(f"the control socket accepts nobody for {_PAUSE:.0f} s: {error.strerror}")
                self._listen_for(accepting=False)
                self._resume = self._clock() + _PAUSE
                return
            self._welcome(end)

    def _welcome(self, end: socket.socket) -> None:
        end.setblocking(False)
        peer = peer_of(end)
        if peer is None or peer.user not in (0, self._user):
            # The mode of the file keeps them out; this is for a file that somebody has opened to others.
            self._warn_of(peer)
            _send_away(end, "only root and the user that runs the server may use its control socket")
        elif len(self._sessions) >= MOST_SESSIONS:
            _send_away(end, f"{MOST_SESSIONS} others are talking to this server; try again")
        else:
            self._begin(end, peer)

    def _warn_of(self, peer: Peer | None) -> None:
        """Tell the operator, not more often than somebody would read it."""
        now = self._clock()
        if self._warned is None or now - self._warned >= _WARNING_EVERY:
            self._warned = now
            who = "somebody whom the system does not name" if peer is None else f"user {peer.user}"
            self.log.warning(f"{who} is refused at the control socket {self.path}; its file should have the mode 600")

    def _begin(self, end: socket.socket, peer: Peer) -> None:
        def current() -> ErrorLog:
            return self.log

        try:
            session = Session(end, peer, self._operations, current, self._clock, self._watch)
        except OSError as error:  # the system gives no room for one more to wait for
            end.close()
            self.log.warning(f"a client of the control socket is sent away: {error.strerror}")
            return
        self._sessions.add(session)

    def _watch(self, session: Session, events: int) -> None:
        """What a session waits for has changed."""
        if not events:
            self._sessions.discard(session)
        if self._selector is None:
            return
        known = session.fileno() in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(session)
        elif known:
            self._selector.modify(session, events, session)
        else:
            self._selector.register(session, events, session)

    def _listen_for(self, *, accepting: bool) -> None:
        if self._selector is None or self._end.fileno() < 0:
            return
        known = self._end.fileno() in self._selector.get_map()
        if accepting and not known:
            self._selector.register(self._end, selectors.EVENT_READ, self)
        elif known and not accepting:
            self._selector.unregister(self._end)

    def deadline(self) -> float | None:
        """When `expire` is wanted next (monotonic seconds)."""
        times = [session.deadline for session in self._sessions if session.deadline is not None]
        if self._resume is not None:
            times.append(self._resume)
        return min(times, default=None)

    def expire(self, now: float) -> None:
        """Give up those who are too slow; accept again after a pause."""
        for session in list(self._sessions):
            session.expire(now)
        if self._resume is not None and now >= self._resume:
            self._resume = None
            self._listen_for(accepting=True)

    def give_way(self, *, remove: bool = True) -> None:
        """Accept nobody any more, so that another server may listen there; who is being talked to gets the answer."""
        self._listen_for(accepting=False)
        self._resume = None
        if remove and self._end.fileno() >= 0:
            self._remove()
        self._end.close()

    def listen_again(self) -> None:
        """After `give_way`: nobody has taken the place. If it cannot be had again, the server goes on without."""
        try:
            self._end, self._remove = _listen(self.path)
        except ListenError as error:
            self.log.error(f"there is no control socket any more: {error}")
            return
        self._listen_for(accepting=True)

    def close(self, *, remove: bool = True) -> None:
        """The end: close everything, and remove the socket's file unless another has taken its place."""
        self.give_way(remove=remove)
        for session in list(self._sessions):
            session.close()
        self._selector = None

    def abandon(self) -> None:
        """In a forked process: let go of the descriptors; file, clients and selector are the parent's."""
        self._selector = None
        self._end.close()
        for session in self._sessions:
            session.abandon()
        self._sessions.clear()


def open_control(
    path: Path | None,
    directory: Path | None,
    pid: int,
    operations: Operations,
    log: ErrorLog,
    clock: Callable[[], float],
) -> ControlSocket | None:
    """The control socket that the settings ask for: at `path`, or in the automatic `directory`, or none.

    One that was named and cannot be had ends the start (ListenError). An automatic one that cannot be had is
    told as a warning: nobody has asked for it.
    """
    if path is not None:
        return ControlSocket(path, pid, operations, log, clock)
    if directory is None:
        return None
    try:
        return ControlSocket(_place_in(directory, pid), pid, operations, log, clock)
    except (OSError, ListenError) as error:
        reason = f"{directory}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
        log.warning(f"there is no control socket: {reason}; name a place for it (control_socket), or turn it off")
        return None


def _place_in(directory: Path, pid: int) -> Path:
    """The socket's path in the automatic directory, which is made and rid of what dead servers have left."""
    user = os.geteuid()
    make_directory(directory, user)
    for path in sockets(directory, user):
        if path.stem.isdecimal() and not _exists(int(path.stem[:9])) and not is_alive(path):
            path.unlink(missing_ok=True)
    return directory / f"{pid}{SUFFIX}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _listen(path: Path) -> tuple[socket.socket, Callable[[], None]]:
    """The listening socket, for its owner alone from its first moment, and what removes its file."""
    how = Listen((), _BACKLOG, _MODE, None, None)
    try:
        end, remove = unix_socket.listen(UnixAddress(os.fspath(path)), how)
    except ListenError as error:
        raise ListenError(f"control_socket: {str(error).removeprefix('unix:')}") from error
    end.setblocking(False)
    return end, remove


def _send_away(end: socket.socket, text: str) -> None:
    """Say why, as far as it takes it at once, and hang up."""
    with end:
        try:
            end.send(encode_answer(Done(Outcome(ConfigError.exit_code, text))))
        except OSError:
            return
