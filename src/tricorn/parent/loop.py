"""The parent's loop: wait for events or the next deadline, note the facts, ask the policy, perform. One thread, no ticks."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tricorn.errors import TricornError
from tricorn.logs import ErrorLog
from tricorn.parent import announce, processes
from tricorn.parent.control import ControlSocket, open_control
from tricorn.parent.facts import count, idle_now, keep_measuring
from tricorn.parent.perform import Performer
from tricorn.parent.processes import ChildHandle, TemplateHandle
from tricorn.parent.reloads import Reloads
from tricorn.parent.server import Server
from tricorn.parent.signals import Signals, Word
from tricorn.parent.upgrades import Upgrades
from tricorn.parent.wishes import Wishes
from tricorn.policy.census import Census
from tricorn.policy.lifecycle import decide
from tricorn.policy.memory import Decision
from tricorn.policy.orders import Announce, AtLimit, Exit, NoRoom, Order, ReloadDone, ReloadFailed, StopListening

_SWEEP_LOOK: Final = 0.02
"""Seconds between two looks at the kernel's queue while a stop empties it."""
_LONGEST_WAIT: Final = 86_400.0
"""Seconds; the system's calls take some 24 days at most, and a child's lifetime may be longer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the server ended."""

    code: int
    reason: str
    log: ErrorLog
    """The error log of the generation that served last."""
    on_terminal: bool
    """Whether that log is standard error."""


class Loop:
    """The state of a running parent."""

    def __init__(
        self,
        server: Server,
        signals: Signals,
        selector: selectors.BaseSelector,
        upgrades: Upgrades,
        abandon: Callable[[], None],
    ) -> None:
        """`abandon` lets go, in a freshly forked template, of what the caller has opened for the parent alone."""
        self._server = server
        self._signals = signals
        self._selector = selector
        self._upgrades = upgrades
        self._abandon_more = abandon
        self._reloads = Reloads(server)
        self._wishes = Wishes(server, self._reloads, upgrades)
        self._performer = Performer(server, self._abandon)
        self._watching = False
        """Whether the children will ring when spare capacity runs out."""
        self._sweeping = False
        """Whether children are emptying the kernel's queue, after which the listening sockets are ended."""
        self._selector.register(signals, selectors.EVENT_READ)
        self._selector.register(server.bell, selectors.EVENT_READ)
        self._control: ControlSocket | None = None

    def run(self) -> Outcome:
        """Until the policy says Exit. Raises TricornError if the control socket that was named cannot be had."""
        server = self._server
        self._upgrades.on_alone = self._is_alone
        if server.current.settings.lifecycle.control_socket is None or not self._upgrades.succeeds:
            self._open_control()
        # Otherwise the server before answers there until it has let go.
        try:
            while True:
                keep_measuring(server)
                census = count(server, server.clock())
                for exit_ in census.exits:
                    server.history.ended(exit_.reason)
                decision = decide(server.memory, census)
                server.memory = decision.memory
                for order in decision.orders:
                    outcome = self._perform(order)
                    if outcome is not None:
                        return outcome
                self._forget_generations()
                self._reloads.look()
                self._tell_supervisor(census)
                if not decision.orders and self._may_wait(decision):
                    # Otherwise there are new facts, and perhaps a nearer deadline.
                    self._wait(decision)
        finally:
            if self._control is not None:
                self._control.close()

    def _open_control(self) -> None:
        server, lifecycle = self._server, self._server.current.settings.lifecycle
        self._control = open_control(
            lifecycle.control_socket, lifecycle.control_directory, server.pid, self._wishes, server.log, server.clock
        )
        self._upgrades.control = self._control
        if self._control is not None:
            self._control.register(self._selector)

    def _is_alone(self) -> None:
        """The server before, whose successor this is, has let go: what fails now is no reason to end what serves."""
        server = self._server
        server.notifier.ready(server.pid)
        try:
            if self._control is None:
                self._open_control()
        except TricornError as error:
            server.log.error(f"the server goes on without a control socket: {error}")

    def _may_wait(self, decision: Decision) -> bool:
        """Have the children ring when spare capacity runs out; False if it has while nobody was listening."""
        if self._watching or decision.watch == 0:
            return True
        server = self._server
        self._watching = True
        server.bell.watch(server.current.heritage.scoreboard, decision.watch)
        return idle_now(server) >= decision.watch

    def _wait(self, decision: Decision) -> None:
        """Take what has happened, most urgent first: the operator, then deaths, then words."""
        server = self._server
        now = server.clock()
        due = [decision.deadline, server.meter.deadline(), server.notifier.watchdog_due(now)]
        due += [self._upgrades.deadline, self._reloads.deadline]
        if self._control is not None:
            due.append(self._control.deadline())
        if self._sweeping:
            due.append(now + _SWEEP_LOOK)
        nearest = min((moment for moment in due if moment is not None), default=None)
        timeout = None if nearest is None else min(max(0.0, nearest - now), _LONGEST_WAIT)
        ready = [(key.data, events) for key, events in self._selector.select(timeout)]
        for meaning in self._signals.noted():
            if meaning.word is Word.REAP:
                ended = processes.reap()
                server.family.reaped(ended)
                self._upgrades.reaped(ended)
            else:
                self._wishes.heed(meaning)
        self._hear([data for data, _ in ready])
        for data, events in ready:
            if not isinstance(data, ChildHandle | TemplateHandle | None):
                data.ready(events)
        self._look_at_clock()
        self._bury()

    def _hear(self, ready: list[object]) -> None:
        family = self._server.family
        for peer in ready:
            # A template speaks for its children's ends, so it is heard before them.
            if isinstance(peer, TemplateHandle):
                family.hear_template(peer)
        for peer in ready:
            if isinstance(peer, ChildHandle):
                family.hear_child(peer)
        for peer in ready:
            if isinstance(peer, ChildHandle | TemplateHandle) and peer.channel.closed:
                self._silence(peer)

    def _look_at_clock(self) -> None:
        """What is due, apart from what the policy decides."""
        server = self._server
        now = server.clock()
        server.bell.silence()
        self._watching = False
        server.family.oom.look(now)
        self._upgrades.expire(now)
        if self._control is not None:
            self._control.expire(now)
        server.notifier.pet(now)
        if self._sweeping and server.listeners.is_empty():
            # Nobody can enter the queue any more, and nobody is in it.
            self._sweeping = False
            server.listeners.shut()

    def _silence(self, peer: ChildHandle | TemplateHandle) -> None:
        """The end of a channel stays readable for ever: stop waiting for it. Its process is reaped in its own time."""
        if peer.channel.fileno() in self._selector.get_map():
            self._selector.unregister(peer.channel)

    def _bury(self) -> None:
        """Close what belonged to those who are gone."""
        server = self._server
        gone, server.family.gone = server.family.gone, []
        for peer in gone:
            if peer.channel.fileno() >= 0:
                self._silence(peer)
                peer.channel.close()
            if peer.pid is not None:
                server.meter.forget(peer.pid)
            if isinstance(peer, ChildHandle):
                scoreboard = server.generations[peer.generation].heritage.scoreboard
                for row in scoreboard.snapshot():
                    if row.slot == peer.slot:
                        server.history.requests += row.requests
                        server.history.accepted += row.accepted
                scoreboard.clear(peer.slot)

    def _perform(self, order: Order) -> Outcome | None:
        server = self._server
        match order:
            case Announce(generation):
                self._announce(generation)
            case ReloadDone():
                self._reloads.promoted()
                self._watching = False
                if self._control is not None:
                    self._control.log = server.log
            case ReloadFailed(generation, reason, code):
                self._reloads.failed(generation, code, reason)
            case StopListening():
                self._sweeping = True
                problem = server.listeners.stop_listening()
                if problem is not None:
                    server.log.warning(problem)
            case AtLimit() | NoRoom():
                text = announce.at_limit(server, order) if isinstance(order, AtLimit) else announce.no_room(order.facts)
                server.log.warning(text)
                server.history.note("nothing is started", text)
            case Exit(code, reason):
                logs = server.current.settings.logs
                return Outcome(code, server.why or reason, server.log, logs.error_log == "-")
            case _:
                peer = self._performer.perform(order)
                if peer is not None:
                    self._selector.register(peer.channel, selectors.EVENT_READ, peer)
        return None

    def _announce(self, generation: int) -> None:
        server = self._server
        template = server.family.templates.get(generation)
        interface = template.interface if template is not None else ""
        settings = server.generations[generation].settings
        server.log.always(announce.serving(settings, interface, server.listeners.addresses, server.pid))
        if self._upgrades.succeeds:
            # Until the server before has let go, that one is the main process to a supervisor.
            self._upgrades.serves()
        else:
            server.notifier.ready(server.pid)

    def _tell_supervisor(self, census: Census) -> None:
        self._server.notifier.status(announce.status(self._server, census))

    def _forget_generations(self) -> None:
        """Close the logs of generations that have no process left and will get none."""
        server = self._server
        in_use = {server.memory.current, server.memory.candidate, server.wanted}
        if server.memory.settled >= server.wanted:
            in_use.discard(server.wanted)
            in_use.add(server.memory.current)
        in_use |= set(server.family.templates) | {generation for generation, _ in server.family.children}
        for number in set(server.generations) - in_use:
            server.generations.pop(number).logs.close()

    def _abandon(self) -> None:
        """In a freshly forked template: let go of the parent's descriptors but for listeners and logs."""
        family = self._server.family
        self._selector.close()
        self._signals.abandon()
        self._server.bell.abandon()
        self._upgrades.abandon()
        if self._control is not None:
            self._control.abandon()
        for peer in (*family.templates.values(), *family.children.values(), *family.gone):
            peer.channel.close()
        for child in family.children.values():
            if child.pidfd is not None:
                os.close(child.pidfd)
        self._abandon_more()
