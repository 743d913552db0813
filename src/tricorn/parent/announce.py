"""What the parent tells about the whole server, in the log and to a supervisor. Text only."""

from __future__ import annotations

from collections import Counter

from tricorn.config.settings import Settings
from tricorn.parent.server import Server
from tricorn.policy.census import Census, ChildState, MemoryFacts, Wish
from tricorn.policy.memory import Phase
from tricorn.policy.orders import AtLimit
from tricorn.version import installed_version


def serving(settings: Settings, interface: str, addresses: tuple[str, ...], pid: int) -> str:
    """What is served, where, how, by whom."""
    capacity = settings.capacity
    children = counted(capacity.start, "child", "children")
    threads = counted(capacity.threads_per_child, "thread", "threads")
    more = "" if capacity.least == capacity.most else f" (up to {capacity.most})"
    return (
        f"tricorn {installed_version()} serves {settings.application.reference} ({(interface or 'wsgi').upper()}) "
        f"on {', '.join(addresses)} with the {settings.mpm.value} MPM: {children}{more} of {threads}, pid {pid}"
    )


def stopped(reason: str) -> str:
    """The last line."""
    return f"tricorn has stopped: {reason}"


def at_limit(server: Server, order: AtLimit) -> str:
    """More would be needed than may be: what everybody is busy with, and what to do."""
    band = server.current.shape.band
    stages = Counter(
        stage
        for generation in server.generations.values()
        for row in generation.heritage.scoreboard.snapshot()
        if row.state == "ready"
        for stage in row.stages
        if stage != "idle"
    )
    busy = ", ".join(f"{number} in {stage}" for stage, number in stages.most_common()) or "nothing that can be seen"
    what = "children" if band.unit == 1 else "threads"
    coming = order.children - order.units // band.unit
    more = f", {counted(coming, 'child is', 'children are')} starting" if coming > 0 else ""
    return f"{order.taken} of {order.units} {what} are taken ({busy}){more}, and there may be no more: {_limit(server)}"


def _limit(server: Server) -> str:
    """What keeps the children from being more."""
    band = server.current.shape.band
    if server.limit is not None:
        return f"the limit was set to {counted(server.limit, 'child', 'children')} (tricorn resize, TTIN, TTOU)"
    if band.is_fixed:
        return f"workers is {band.most}"
    return f"max_request_workers is {band.most * band.unit}"


def no_room(facts: MemoryFacts) -> str:
    """One more child is wanted and would not fit."""
    return (
        f"one more child is needed and would take about {mebibytes(facts.child)}; the server uses "
        f"{mebibytes(facts.used)} of memory_limit {mebibytes(facts.limit)}, and keeps {mebibytes(facts.reserve)} for a reload"
    )


def status(server: Server, census: Census) -> str:
    """One line for a supervisor that shows it."""
    if server.wish is not Wish.SERVE:
        return f"stopping: {counted(len(census.children), 'child', 'children')} left"
    if server.memory.phase is Phase.STARTING:
        return "starting"
    ready = [child for child in census.children if child.state is ChildState.READY and not child.killed]
    units = sum(census.shapes[child.generation].band.unit for child in ready)
    taken = sum(child.taken for child in ready)
    trial = f"; tries out generation {server.memory.candidate}" if server.memory.candidate is not None else ""
    return (
        f"serving: {counted(len(ready), 'child', 'children')}, {taken} of {units} busy, "
        f"generation {server.memory.current}{trial}"
    )


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number} {one if number == 1 else many}"


def mebibytes(size: int) -> str:
    """A size for people."""
    return f"{size / (1 << 20):.0f} MiB"
