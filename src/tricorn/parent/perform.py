"""One function for each order of the policy that is about a process: what the parent does, and what it tells the operator."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from tricorn.child.messages import PartNow, RestNow, ServeAgain
from tricorn.parent import processes
from tricorn.parent.processes import ChildHandle, TemplateHandle
from tricorn.parent.server import Server
from tricorn.policy.census import ChildExit, ChildState, TemplateExit, TemplateState
from tricorn.policy.orders import (
    BackOff,
    DropTemplate,
    Kill,
    KillTemplate,
    Order,
    Part,
    Recall,
    Rest,
    Retire,
    Spawn,
    StartTemplate,
)

_LACKING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ETOOMANYREFS})
"""What the system says when it has no descriptor, or no memory, for a channel."""


class Performer:
    """Carries out what concerns processes. Used by the parent's only thread."""

    def __init__(self, server: Server, abandon: Callable[[], None]) -> None:
        """`abandon` lets go, in a freshly forked template, of what is the parent's alone."""
        self._server = server
        self._abandon = abandon

    def perform(self, order: Order) -> ChildHandle | TemplateHandle | None:
        """Carry out one order; a new process is returned, for the loop to listen to."""
        match order:
            case StartTemplate(generation, preload):
                return self._start_template(generation, preload=preload)
            case Spawn(generation, slot, reason):
                return self._spawn(generation, slot, reason)
            case DropTemplate(generation):
                self._drop(self._server.family.templates.get(generation))
            case KillTemplate(generation, reason):
                self._kill_template(self._server.family.templates.get(generation), reason)
            case BackOff(_, delay, crashes):
                self._back_off(delay, crashes)
            case Part(generation, slot):
                self._part(self._server.family.children.get((generation, slot)))
            case Rest(generation, slot, reason):
                self._rest(self._server.family.children.get((generation, slot)), reason)
            case Recall(generation, slot, reason):
                self._recall(self._server.family.children.get((generation, slot)), reason)
            case Retire(generation, slot, reason, sweep):
                self._retire(self._server.family.children.get((generation, slot)), reason, sweep=sweep)
            case Kill(generation, slot, reason):
                self._kill(self._server.family.children.get((generation, slot)), reason)
            case _:
                raise TypeError(f"{order} is not about processes")
        return None

    def _start_template(self, generation: int, *, preload: bool) -> TemplateHandle | None:
        server = self._server
        server.history.note(f"template of generation {generation} is started", "the generation has none")
        heritage = server.generations[generation].heritage
        try:
            template = processes.fork_template(heritage, server.clock(), preload=preload, abandon=self._abandon)
        except OSError as error:
            reason = f"no template can be forked: {error.strerror}"
            server.log.error(reason)
            server.family.exits.append(TemplateExit(generation, TemplateState.IMPORTING, reason=reason))
            return None
        server.family.templates[generation] = template
        server.log.named(template.name).debug("forked")
        return template

    def _spawn(self, generation: int, slot: int, why: str) -> ChildHandle | None:
        server = self._server
        template = server.family.templates.get(generation)
        if template is None:
            return None
        server.history.note(f"child {slot} of generation {generation} is started", why)
        server.generations[generation].heritage.scoreboard.claim(slot, generation)
        try:
            child = processes.order_child(template, slot, server.clock())
        except OSError as error:
            reason = f"no child can be ordered: {error.strerror}"
            server.log.named(template.name).error(reason)
            lacking = error.errno in _LACKING
            # What the system lacks is no fault of the template's, but something to wait with, as after a crash.
            server.family.exits.append(ChildExit(slot, generation, ChildState.STARTING, forked=lacking, reason=reason))
            if not lacking:
                self._kill_template(template, "it does not listen")
            return None
        server.family.children[generation, slot] = child
        return child

    def _drop(self, template: TemplateHandle | None) -> None:
        if template is None:
            return
        try:
            processes.tell_drop(template)
        except OSError:
            self._kill_template(template, "it does not listen")
            return
        template.state = TemplateState.DROPPED

    def _kill_template(self, template: TemplateHandle | None, reason: str) -> None:
        if template is not None and not template.killed:
            self._server.log.named(template.name).warning(f"is killed: {reason}")
            self._server.history.note(f"template of generation {template.generation} is killed", reason)
            processes.kill_template(template, reason)

    def _back_off(self, delay: float, crashes: int) -> None:
        text = f"{crashes} crashes in a row; the next start is in {delay:.0f} s"
        self._server.log.warning(text)
        self._server.history.note("nothing is started for a while", text)

    def _part(self, child: ChildHandle | None) -> None:
        if child is not None:
            processes.tell(child, PartNow())

    def _rest(self, child: ChildHandle | None, reason: str) -> None:
        if child is None:
            return
        self._tell_of(child, "rests", reason)
        processes.tell(child, RestNow())
        child.state = ChildState.RESTING
        child.since = self._server.clock()

    def _recall(self, child: ChildHandle | None, reason: str) -> None:
        if child is None:
            return
        self._tell_of(child, "is recalled", reason)
        child.words = 0
        processes.tell(child, ServeAgain())

    def _retire(self, child: ChildHandle | None, reason: str, *, sweep: bool) -> None:
        if child is None:
            return
        self._tell_of(child, "is retired", reason)
        processes.tell_retire(child, sweep=sweep)
        child.state = ChildState.DRAINING
        child.since = self._server.clock()

    def _tell_of(self, child: ChildHandle, what: str, reason: str) -> None:
        self._server.log.named(child.name).info(f"{what}: {reason}")
        self._server.history.note(f"child {child.slot} of generation {child.generation} {what}", reason)

    def _kill(self, child: ChildHandle | None, reason: str) -> None:
        if child is not None:
            server = self._server
            server.log.named(child.name).warning(f"is killed: {reason}")
            server.history.note(f"child {child.slot} of generation {child.generation} is killed", reason)
            processes.kill_child(child, reason)
            child.since = server.clock()
            if child.pid is None and child.orphaned:
                # Nobody can name it; without its channel it leaves by itself.
                child.channel.close()
