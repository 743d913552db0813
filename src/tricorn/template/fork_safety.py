"""Looking for what must not be inherited by a fork: threads, open connections, shared file positions. Finds, decides nothing.

A thread does not survive a fork, but the locks it held do. A socket or a database file would be used by all children at
once. Files opened only for reading or for appending (logs) are harmless.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from pathlib import Path
from typing import Final

_THREADS: Final = Path("/proc/self/task")
_DESCRIPTORS: Final = "/dev/fd"


def open_descriptors() -> frozenset[int]:
    """The descriptors that are open now; empty where the system does not tell."""
    try:
        listed = [int(name) for name in os.listdir(_DESCRIPTORS)]
    except OSError:
        return frozenset()
    # Listing opens one itself, which is closed again by now.
    return frozenset(fd for fd in listed if _is_open(fd))


def findings(before: frozenset[int]) -> tuple[str, ...]:
    """What this process has, beyond the descriptors `before`, that a child must not inherit; a phrase for each."""
    found = [f"the thread {thread.name!r}" for thread in threading.enumerate() if thread is not threading.main_thread()]
    native = _native_threads() - len(found) - 1
    if native > 0:
        found.append(f"{native} threads of a native library")
    found += [phrase for fd in sorted(open_descriptors() - before) if (phrase := _phrase(fd)) is not None]
    return tuple(found)


def _native_threads() -> int:
    try:
        return len(os.listdir(_THREADS))
    except OSError:
        return 0


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _phrase(fd: int) -> str | None:
    try:
        mode = os.fstat(fd).st_mode
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    except OSError:
        return None
    name = _target(fd)
    if stat.S_ISSOCK(mode):
        return f"the socket {name}"
    if stat.S_ISFIFO(mode):
        return f"the pipe {name}"
    if stat.S_ISREG(mode):
        return (
            None
            if flags & os.O_APPEND or not flags & (os.O_WRONLY | os.O_RDWR)
            else f"the file {name}, open for writing"
        )
    if stat.S_ISCHR(mode) or stat.S_ISDIR(mode):
        return None
    return f"the descriptor {name}"


def _target(fd: int) -> str:
    try:
        return f"{os.readlink(f'/proc/self/fd/{fd}')} (descriptor {fd})"
    except OSError:
        return f"(descriptor {fd})"
