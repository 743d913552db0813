"""The standard streams of a process: always open, and flushed without being in the way of a fork or of an end."""

from __future__ import annotations

import os
import sys

_STANDARD = (0, 1, 2)


def ensure_open() -> None:
    """Give those of the descriptors 0 to 2 that somebody has closed to the null device. Run before anything is opened.

    Otherwise the next socket or log would become standard input or output, and what prints would write into it.
    """
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) in _STANDARD:
        # Programs that the application starts expect to have it.
        os.set_inheritable(fd, True)
    os.close(fd)
    # The interpreter has no object for a stream that was closed when it began, and print() to None is the application's
    # error, not the operator's.
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115  (for the life of the process)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115


def flush() -> None:
    """Write what is buffered: before a fork, so that it is not written twice, and at the end of a process.

    The application may have closed or replaced the streams, the disk may be full, the reader gone: then it stays.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: S112  (an application may put anything there)
            continue
