"""The pid file: at most one server holds it, known by a lock and not by a number that may have been given away again."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from tricorn.errors import ConfigError, StartError


class PidFile:
    """A locked file with the parent's pid; the lock ends with the parent, however it ends.

    In an upgrade the successor gets the locked descriptor itself, so that both hold the one lock and there is no moment
    in which a third server could take the file.
    """

    def __init__(self, path: Path, passed_on: int | None = None) -> None:
        """Take the file, or the locked descriptor of it that a running server has passed on: its own until `confirm`.

        Raises:
            ConfigError: it cannot be opened for writing, or was not what was passed on.
            StartError: a living server holds it.
        """
        # Absolute, because nothing says that the working directory stays what it is.
        self.path = path.absolute()
        self.stale: str | None = None
        """What a dead server had left in it."""
        self._ours = passed_on is None
        """Whether it is this server's to write and to remove; in an upgrade it is one server's at a time."""
        if passed_on is not None:
            _check_passed_on(self.path, passed_on)
            self._fd = passed_on
            return
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            advice = "make its directory first" if error.errno == errno.ENOENT else "name a file that it may write to"
            raise ConfigError(f"pid_file: {self.path} cannot be opened: {error.strerror}; {advice}") from error
        try:
            self.stale = self._take()
        except BaseException:
            os.close(self._fd)
            raise

    def _take(self) -> str | None:
        content = os.read(self._fd, 64).decode("ascii", "replace").strip()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = (
                f"pid_file: {self.path} is held by a running server (pid {content or 'unknown'}); stop that one first"
            )
            raise StartError(text) from None
        except OSError as error:
            raise StartError(f"pid_file: {self.path} cannot be locked: {error.strerror}") from error
        try:
            self._write(os.getpid())
        except OSError as error:
            text = f"pid_file: {self.path} cannot be written: {error.strerror}; make room for it, or name another place"
            raise StartError(text) from error
        return content or None

    def fileno(self) -> int:
        """The locked descriptor."""
        return self._fd

    def write(self, pid: int) -> bool:
        """Have it name `pid`; False if the disk does not take it. The lock holds all the same, and tells who serves."""
        try:
            self._write(pid)
        except OSError:
            return False
        return True

    def _write(self, pid: int) -> None:
        """Whoever reads it meanwhile finds a whole number in the first line. Raises OSError."""
        text = f"{pid}\n".encode()
        os.pwrite(self._fd, text, 0)
        os.ftruncate(self._fd, len(text))

    def confirm(self) -> bool:
        """The new server: the old one has let go of it, or is gone. False if the disk does not take the new number."""
        self._ours = True
        return self.write(os.getpid())

    def hand_over(self) -> None:
        """The old server: it is the successor's from now on."""
        self._ours = False

    def abandon(self) -> None:
        """In a forked process: let go of the descriptor, so that the lock is the parent's alone."""
        os.close(self._fd)

    def remove(self) -> None:
        """At the end: remove the file, unless another server has it now, or somebody has put another in its place."""
        try:
            if self._ours:
                ours, theirs = os.fstat(self._fd), self.path.stat()
                if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
                    self.path.unlink()
        except OSError:
            # Gone already, or not ours to remove; nothing depends on it any more.
            pass
        finally:
            os.close(self._fd)


def _check_passed_on(path: Path, fd: int) -> None:
    try:
        os.set_inheritable(fd, False)
        passed, named = os.fstat(fd), path.stat()
    except OSError as error:
        raise ConfigError(f"pid_file: {path} was not passed on by the running server: {error.strerror}") from error
    if (passed.st_dev, passed.st_ino) != (named.st_dev, named.st_ino):
        raise ConfigError(f"pid_file: {path} is not the file that the running server has passed on")
