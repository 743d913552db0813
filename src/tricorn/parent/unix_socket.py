"""Listening on a Unix socket: mode and owner from its first moment, stale files replaced, live servers respected."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tricorn.config.settings import Listen, UnixAddress
from tricorn.errors import ListenError

_LOCK_PATIENCE: Final = 5.0
"""Seconds to wait for another server that is starting in the same directory at this moment."""
_LOCK_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class SocketFile:
    """The file of a socket, known by more than its name: another server may put its own socket there."""

    path: Path
    device: int
    inode: int

    def remove(self) -> None:
        """Remove it, if it is still the same; from then on nobody can connect to the socket."""
        if _identity(self.path) == (self.device, self.inode):
            self.path.unlink(missing_ok=True)


def listen(address: UnixAddress, how: Listen) -> tuple[socket.socket, Callable[[], None]]:
    """A listening socket at the path, and what removes its file at the end. Raises ListenError."""
    end, file = open_at(Path(address.path), how)
    return end, file.remove


def open_at(path: Path, how: Listen) -> tuple[socket.socket, SocketFile]:
    """A listening socket and its file. Raises ListenError."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _one_at_a_time(path):
            _clear_the_way(path)
            _bind(end, path, how)
            end.listen(how.backlog)
            made = path.lstat()
    except OSError as error:
        end.close()
        raise ListenError(f"unix:{path}: {_reason(path, error)}") from error
    except ListenError:
        end.close()
        raise

    return end, SocketFile(path, made.st_dev, made.st_ino)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Two servers must not both find the same stale file. The lock is on the directory, so it leaves nothing behind."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ListenError(f"unix:{path}: somebody holds a lock on its directory") from None
                time.sleep(_LOCK_PAUSE)
        yield
    finally:
        os.close(fd)


def _clear_the_way(path: Path) -> None:
    """Remove what a dead server has left; raises ListenError for anything else that is in the way."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"unix:{path}: there is something that is no socket; remove it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            # Its backlog is full: somebody listens, and is busy.
            pass
    raise ListenError(f"unix:{path}: another server listens there; stop it or choose another path")


def _bind(end: socket.socket, path: Path, how: Listen) -> None:
    # The umask, not a later chmod, makes the file: there is no moment at which too many may connect.
    before = os.umask(0o777 & ~how.unix_socket_mode)
    try:
        end.bind(os.fspath(path))
    finally:
        os.umask(before)
    try:
        user = -1 if how.unix_socket_user is None else how.unix_socket_user
        group = -1 if how.unix_socket_group is None else how.unix_socket_group
        if (user, group) != (-1, -1):
            os.chown(path, user, group)
        path.chmod(how.unix_socket_mode)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ListenError(
            f"unix:{path}: unix_socket_user, unix_socket_group, unix_socket_mode cannot be set: {error.strerror}"
        ) from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _reason(path: Path, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"the directory {path.parent} does not exist; make it first"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"this user may not make a socket in {path.parent}"
        case errno.EADDRINUSE:
            return "another server listens there; stop it or choose another path"
        case None | errno.ENAMETOOLONG:
            return f"the path has {len(os.fsencode(path))} bytes, and the system allows about 100; choose a shorter one"
        case _:
            return f"cannot listen: {error.strerror}"
