"""From the directive `mpm` to its module."""

from __future__ import annotations

from tricorn.config.settings import Mpm
from tricorn.mpm import event, prefork, worker
from tricorn.mpm.contract import Module


def select(mpm: Mpm) -> Module:
    """The module that is in force."""
    match mpm:
        case Mpm.PREFORK:
            return prefork
        case Mpm.WORKER:
            return worker
        case Mpm.EVENT:
            return event
