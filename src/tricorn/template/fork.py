"""Forking and reaping children: the only place of the template that does either."""

from __future__ import annotations

import os
import socket
import warnings
from dataclasses import dataclass

from tricorn.child import streams


@dataclass(frozen=True, slots=True)
class Birth:
    """What a process finds when it is the child of a fork."""

    slot: int
    end: socket.socket
    """Its end of the channel to the parent."""


def fork_child(slot: int, end: socket.socket) -> Birth | int:
    """Fork; returns the pid in the template, and a Birth in the child. Raises OSError."""
    streams.flush()
    with warnings.catch_warnings():
        # Python warns of threads at a fork; the template has looked for them, and has said so.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    return Birth(slot, end) if pid == 0 else pid


def open_pidfd(pid: int) -> int | None:
    """A descriptor that stands for this process and no later one of the same number, where the system has them."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def reap(pid: int) -> int | None:
    """The wait status of a child that is gone; None while it lives. Only this child: the application has its own."""
    try:
        reaped, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        # Somebody else has reaped it (an application that waits for any child): how it ended is lost.
        return 0
    return status if reaped == pid else None
