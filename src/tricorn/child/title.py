"""The name of a process in the operator's tools (`ps -o comm`, `top`), where the system lets a process choose it."""

from __future__ import annotations

import os
from typing import Final

_LONGEST: Final = 15
"""Bytes that Linux keeps of a process name."""


def set_title(process_name: str, role: str) -> None:
    """Name this process, for example "tricorn child 3"; the process name is cut where both do not fit."""
    name = process_name.encode("utf-8", "replace")[: _LONGEST - len(role) - 1]
    try:
        # Not by way of pathlib: each page of it that a child runs through is a page that it shares no longer.
        fd = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        # Not Linux, or no /proc: the name is a comfort, not a need.
        return
    try:
        os.write(fd, name + b" " + role.encode())
    except OSError:
        return
    finally:
        os.close(fd)
