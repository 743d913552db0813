"""What the operator wishes of the running server, by signal or by the control socket: one method for each wish, and the
loop's thread carries them all out. The policy hears of a wish in the next census.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any

from tricorn.control.messages import Outcome
from tricorn.parent import relogging
from tricorn.parent.facts import memory_facts, read_rows, taken
from tricorn.parent.figures import Figures
from tricorn.parent.generations import largest
from tricorn.parent.processes import ChildHandle
from tricorn.parent.reloads import Reloads
from tricorn.parent.server import Server
from tricorn.parent.signals import ECHO, Meaning, Word
from tricorn.parent.upgrades import Upgrades
from tricorn.policy.census import ChildState, Wish
from tricorn.scoreboard import ChildSnapshot
from tricorn.status.report import ChildFacts, MemoryFacts, ProcessMemory, ServerFacts, report
from tricorn.version import installed_version


class Wishes:
    """The operations of the control socket (`Operations`), and the meanings of signals. Used by the parent's only thread."""

    def __init__(self, server: Server, reloads: Reloads, upgrades: Upgrades) -> None:
        self._server = server
        self._reloads = reloads
        self._upgrades = upgrades
        self._stop_heard: tuple[signal.Signals | None, float] = (None, 0.0)

    # By signal.

    def heed(self, meaning: Meaning) -> None:
        """Do what a signal means; those about processes are the loop's."""
        server = self._server
        name = meaning.number.name
        match meaning.word:
            case Word.STOP if server.wish is Wish.SERVE or self._is_first(Wish.HAND_OVER):
                self._stop_heard = (meaning.number, server.clock())
                self._stop(f"told to by {name}", at_once=False)
            case Word.STOP if self._is_echo(meaning):
                server.log.debug(f"{name} came twice; once is meant")
            case Word.STOP | Word.STOP_AT_ONCE:
                self._stop(f"told to by {name}, at once", at_once=True)
            case Word.RELOAD:
                self._reloads.ask()
            case Word.REOPEN_LOGS:
                self.reopen_logs()
            case Word.UPGRADE:
                self._upgrades.ask(None, reloading=self._reloads.facts is not None)
            case Word.MORE:
                self._resize(self._most() + 1)
            case Word.FEWER:
                self._resize(self._most() - 1)
            case _:
                server.log.debug(f"{name}: {meaning.text}")

    def _is_first(self, wish: Wish) -> bool:
        """Whether this is what the server does, and the first signal to stop. A server that has handed over leaves already;
        a platform that signals every process does not mean that it is to do so at once.
        """
        return self._server.wish is wish and self._stop_heard[0] is None

    def _is_echo(self, meaning: Meaning) -> bool:
        """Whether this is the stop that was heard already: some tools signal a process, and then its whole group."""
        number, at = self._stop_heard
        return meaning.number is number and self._server.clock() - at < ECHO

    # By the control socket.

    def stop(self, *, now: bool) -> None:
        """Stop gracefully, or at once."""
        self._stop("told to over the control socket" + (", at once" if now else ""), at_once=now)

    def reload(self, done: Callable[[Outcome], None]) -> None:
        """Begin a reload."""
        self._reloads.ask(done)

    def upgrade(self, done: Callable[[Outcome], None]) -> None:
        """Begin a binary upgrade."""
        self._upgrades.ask(done, reloading=self._reloads.facts is not None)

    def reopen_logs(self) -> Outcome:
        """Open the log files of every generation anew, and have everybody write to them."""
        return relogging.reopen(self._server)

    def resize(self, most_units: int) -> Outcome:
        """Change how many units there may be."""
        unit = self._server.current.shape.band.unit
        if most_units < unit:
            return Outcome(2, f"{most_units} is less than one child, which has {unit}")
        return self._resize(most_units // unit)

    def retire(self, child: int) -> Outcome:
        """Have the child in this slot replaced, gently."""
        server = self._server
        found = server.family.children.get((server.memory.current, child))
        if found is None or found.state is ChildState.DRAINING or found.killed:
            slots = sorted(
                slot
                for (generation, slot), other in server.family.children.items()
                if generation == server.memory.current and other.state is not ChildState.DRAINING and not other.killed
            )
            return Outcome(2, f"there is no child {child} to retire; there are {', '.join(map(str, slots)) or 'none'}")
        found.asked = found.asked or "retired by the operator"
        return Outcome(0, f"child {child} (pid {found.pid}) leaves when its successor is ready")

    def why(self) -> list[Mapping[str, Any]]:
        """The last decisions."""
        return [
            {
                "at": note.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "what": note.what,
                "reason": note.reason,
            }
            for note in self._server.history.notes
        ]

    def status(self) -> Mapping[str, Any]:
        """What the server is doing."""
        server = self._server
        settings = server.current.settings
        rows = read_rows(server)
        children = [self._child(child, rows.get(name)) for name, child in server.family.children.items()]
        return report(
            ServerFacts(
                version=installed_version(),
                pid=server.pid,
                uptime=server.clock() - server.began,
                phase=server.memory.phase.value,
                generation=server.memory.current,
                mpm=settings.mpm.value,
                application=settings.application.reference,
                addresses=server.listeners.addresses,
                band=server.current.shape.band,
                target=server.memory.target,
                limit=server.limit,
                children=children,
                memory=self._memory(),
                reload=self._reloads.facts,
                past_requests=server.history.requests,
                past_accepted=server.history.accepted,
                exits=server.history.exits,
            )
        )

    def _child(self, child: ChildHandle, row: ChildSnapshot | None) -> ChildFacts:
        server = self._server
        figures = server.meter.of(child.pid) if child.pid is not None else None
        return ChildFacts(
            slot=child.slot,
            generation=child.generation,
            pid=child.pid,
            state=child.state.value,
            age=server.clock() - child.born,
            units=server.generations[child.generation].shape.band.unit,
            taken=taken(server, child, row),
            row=row,
            memory=_process_memory(figures),
        )

    def _memory(self) -> MemoryFacts:
        server = self._server
        facts, total = memory_facts(server), server.meter.total
        return MemoryFacts(
            limit=server.current.settings.memory.limit,
            used=facts.used if facts is not None else None,
            child=facts.child if facts is not None else None,
            rss=total.rss if total is not None else None,
            pss=total.pss if total is not None else None,
        )

    # What both do.

    def _stop(self, why: str, *, at_once: bool) -> None:
        server = self._server
        if at_once and server.wish is not Wish.STOP_AT_ONCE:
            server.wish, server.why = Wish.STOP_AT_ONCE, why
            server.log.info(f"stops at once: {why}")
        elif server.wish is Wish.SERVE:
            server.wish, server.why = Wish.STOP, why
            server.log.info(f"stops gracefully: {why}")
            server.notifier.stopping()
        elif server.wish is Wish.HAND_OVER:
            server.log.info(f"leaves already, since {server.why}: {why}")

    def _most(self) -> int:
        """How many children there may be now."""
        server = self._server
        return server.limit if server.limit is not None else server.current.shape.band.most

    def _resize(self, children: int) -> Outcome:
        server = self._server
        shape, before = server.current.shape, self._most()
        if not 1 <= children <= largest(shape.slots):
            text = f"the limit stays at {_count(before)}: it can be from 1 to {largest(shape.slots)} until a reload"
            server.log.warning(text)
            return Outcome(2, text)
        server.limit = children
        units = "" if shape.band.unit == 1 else f" ({children * shape.band.unit} threads)"
        text = f"the limit is {_count(children)}{units}, it was {before}; a reload returns to the configuration"
        server.log.info(text)
        server.history.note("the limit is changed", text)
        return Outcome(0, text)


def _count(children: int) -> str:
    return "1 child" if children == 1 else f"{children} children"


def _process_memory(figures: Figures | None) -> ProcessMemory | None:
    return ProcessMemory(figures.pss, figures.uss, figures.rss) if figures is not None else None
