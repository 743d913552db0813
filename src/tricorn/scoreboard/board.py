"""Making, claiming and reading the scoreboard; the only importer of the engine's shared memory above the children."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tricorn._engine import AddressTables
from tricorn._engine import Scoreboard as SharedMemory
from tricorn.errors import StartError


@dataclass(frozen=True, slots=True)
class ChildSnapshot:
    """What one child's row said at one moment; for sizing and display only."""

    slot: int
    pid: int
    generation: int
    state: str
    connections: int
    accepted: int
    requests: int
    busy: int
    taken: int
    """Threads that no further client can have now."""
    queued: int
    queue_time: float
    """Seconds that all requests so far have waited for a thread, added up."""
    turned_away: int
    """Complete requests so far that were answered with 503 because too many waited, or they had waited too long."""
    dropped: int
    """Complete requests so far whose clients had gone before a thread was free."""
    broken_off: int
    """Answers so far that were broken off because their clients did not take them and others needed the room or thread."""
    held_memory: int
    """Bytes of bodies and answers held in memory."""
    spooled: int
    """Bytes of bodies and answers in temporary files."""
    timed_out: int
    """Requests so far for which the application has taken longer than `timeout`."""
    refused_by_address: int
    """Connections and requests so far that were refused because their address had too many."""
    stages: tuple[str, ...]


class Scoreboard:
    """The rows of one generation's children. Used by the parent; children write through `memory`."""

    def __init__(self, memory: SharedMemory, addresses: AddressTables | None = None) -> None:
        self.memory = memory
        self.addresses = addresses
        """What client addresses have, if there is a limit for that."""

    def claim(self, slot: int, generation: int) -> None:
        """Begin a row before its child is forked; the child adds its pid."""
        self.memory.claim(slot, 0, generation)

    def clear(self, slot: int) -> None:
        """Empty the row of a child that was reaped."""
        self.memory.clear(slot)
        if self.addresses is not None:
            self.addresses.clear(slot)

    def watch_spare(self, least: int) -> None:
        """Have the first child that finds fewer than `least` idle units ring the spare bell, once; 0 is nobody."""
        self.memory.watch_spare(least)

    def snapshot(self) -> tuple[ChildSnapshot, ...]:
        """Every row in use, in slot order."""
        return tuple(
            ChildSnapshot(
                slot=row.child,
                pid=row.pid,
                generation=row.generation,
                state=row.state,
                connections=row.connections,
                accepted=row.accepted,
                requests=row.requests,
                busy=row.busy,
                taken=row.taken,
                queued=row.queued,
                queue_time=row.queue_time,
                turned_away=row.turned_away,
                dropped=row.dropped,
                broken_off=row.broken_off,
                held_memory=row.held_memory,
                spooled=row.spooled,
                timed_out=row.timed_out,
                refused_by_address=row.refused_by_address,
                stages=tuple(row.stages),
            )
            for row in self.memory.rows()
        )


def make(slots: int, threads: int, connections: int | None = None, elders: Iterable[Scoreboard] = ()) -> Scoreboard:
    """Map shared memory for `slots` children of `threads` threads. Run by the parent before it forks.

    With `connections`, the most that a child holds at once, children count what client addresses have; what the
    children of `elders`, other generations of this server, have counts as well.

    Raises:
        StartError: the system gives no memory for it.
    """
    try:
        memory = SharedMemory(slots, threads)
        if connections is None:
            return Scoreboard(memory)
        tables = [elder.addresses for elder in elders if elder.addresses is not None]
        return Scoreboard(memory, AddressTables(slots, connections, tables))
    except (OSError, OverflowError, ValueError) as error:
        message = f"no shared memory for the scoreboard of {slots} children of {threads} threads: {error}"
        raise StartError(message) from error
