"""The lines that tell an operator that the server serves, and that it has stopped. Text only."""

from __future__ import annotations

from tricorn.config.settings import Settings
from tricorn.version import installed_version


def serving(settings: Settings, interface: str, addresses: tuple[str, ...], pid: int) -> str:
    """What is served, where, how, by whom."""
    capacity = settings.capacity
    children = _count(capacity.start, "child", "children")
    threads = _count(capacity.threads_per_child, "thread", "threads")
    return (
        f"tricorn {installed_version()} serves {settings.application.reference} ({(interface or 'wsgi').upper()}) "
        f"on {', '.join(addresses)} with the {settings.mpm.value} MPM: {children} of {threads}, pid {pid}"
    )


def stopped(reason: str) -> str:
    """The last line."""
    return f"tricorn has stopped: {reason}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
