"""The pid file: at most one server holds it, known by a lock and not by a number that may have been given away again."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from tricorn.errors import ConfigError, StartError


class PidFile:
    """A locked file with the parent's pid; the lock ends with the parent, however it ends."""

    def __init__(self, path: Path) -> None:
        """Take the file. `stale` tells what a dead server had left in it.

        Raises:
            ConfigError: it cannot be opened for writing.
            StartError: a living server holds it.
        """
        # Absolute, because nothing says that the working directory stays what it is.
        self.path = path.absolute()
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
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return content or None

    def abandon(self) -> None:
        """In a forked process: let go of the descriptor, so that the lock is the parent's alone."""
        os.close(self._fd)

    def remove(self) -> None:
        """At the end: remove the file, unless somebody has put another in its place."""
        try:
            ours, theirs = os.fstat(self._fd), self.path.stat()
            if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
                self.path.unlink()
        except OSError:
            # Gone already, or not ours to remove; nothing depends on it any more.
            pass
        finally:
            os.close(self._fd)
