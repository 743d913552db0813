"""One function for each order of the policy: what the parent does about it, and what it tells the operator."""

from __future__ import annotations

from collections.abc import Callable

from tricorn.logs import ErrorLog
from tricorn.parent import processes
from tricorn.parent.family import Family
from tricorn.parent.generations import Generation
from tricorn.parent.processes import ChildHandle, TemplateHandle
from tricorn.policy.census import ChildExit, ChildState, TemplateExit, TemplateState
from tricorn.policy.orders import BackOff, DropTemplate, Kill, KillTemplate, Order, Retire, Spawn, StartTemplate


class Performer:
    """Carries out what concerns processes. Used by the parent's only thread."""

    def __init__(
        self,
        family: Family,
        generations: dict[int, Generation],
        log: ErrorLog,
        clock: Callable[[], float],
        abandon: Callable[[], None],
    ) -> None:
        self.log = log
        self._family = family
        self._generations = generations
        self._clock = clock
        self._abandon = abandon

    def perform(self, order: Order) -> ChildHandle | TemplateHandle | None:
        """Carry out one order; a new process is returned, for the loop to listen to."""
        match order:
            case StartTemplate(generation, preload):
                return self._start_template(generation, preload=preload)
            case Spawn(generation, slot):
                return self._spawn(generation, slot)
            case DropTemplate(generation):
                self._drop(self._family.templates.get(generation))
            case KillTemplate(generation, reason):
                self._kill_template(self._family.templates.get(generation), reason)
            case Retire(generation, slot, reason):
                self._retire(self._family.children.get((generation, slot)), reason)
            case Kill(generation, slot, reason):
                self._kill(self._family.children.get((generation, slot)), reason)
            case BackOff(_, delay, crashes):
                self.log.warning(f"{crashes} crashes in a row; the next start is in {delay:.0f} s")
            case _:
                raise TypeError(f"{order} is not about processes")
        return None

    def _start_template(self, generation: int, *, preload: bool) -> TemplateHandle | None:
        heritage = self._generations[generation].heritage
        try:
            template = processes.fork_template(heritage, self._clock(), preload=preload, abandon=self._abandon)
        except OSError as error:
            reason = f"no template can be forked: {error.strerror}"
            self.log.error(reason)
            self._family.exits.append(TemplateExit(generation, TemplateState.IMPORTING, reason=reason))
            return None
        self._family.templates[generation] = template
        self.log.named(template.name).debug("forked")
        return template

    def _spawn(self, generation: int, slot: int) -> ChildHandle | None:
        template = self._family.templates.get(generation)
        if template is None:
            return None
        self._generations[generation].heritage.scoreboard.claim(slot, generation)
        try:
            child = processes.order_child(template, slot, self._clock())
        except OSError as error:
            reason = f"no child can be ordered: {error.strerror}"
            self.log.named(template.name).error(reason)
            self._family.exits.append(ChildExit(slot, generation, ChildState.STARTING, forked=False, reason=reason))
            self._kill_template(template, "it does not listen")
            return None
        self._family.children[generation, slot] = child
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
            self.log.named(template.name).warning(f"is killed: {reason}")
            processes.kill_template(template, reason)

    def _retire(self, child: ChildHandle | None, reason: str) -> None:
        if child is None:
            return
        self.log.named(child.name).debug(f"is retired: {reason}")
        processes.tell_retire(child)
        child.state = ChildState.DRAINING
        child.since = self._clock()

    def _kill(self, child: ChildHandle | None, reason: str) -> None:
        if child is not None:
            self.log.named(child.name).warning(f"is killed: {reason}")
            processes.kill_child(child, reason)
            child.since = self._clock()
            if child.pid is None and child.orphaned:
                # Nobody can name it; without its channel it leaves by itself.
                child.channel.close()
