"""The parent's loop: wait for events or the next deadline, note the facts, ask the policy, perform. One thread, no ticks."""

from __future__ import annotations

import os
import selectors
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from tricorn.errors import TricornError
from tricorn.logs import ErrorLog
from tricorn.parent import announce, processes
from tricorn.parent.family import Family
from tricorn.parent.generations import Generation, LoadSettings, check_reloadable, make_generation
from tricorn.parent.listeners import Listeners
from tricorn.parent.notify import Notifier
from tricorn.parent.perform import Performer
from tricorn.parent.processes import ChildHandle, TemplateHandle
from tricorn.parent.signals import ECHO, Meaning, Signals, Word
from tricorn.policy.census import Census, Wish
from tricorn.policy.lifecycle import decide
from tricorn.policy.memory import Memory
from tricorn.policy.orders import Announce, Exit, Order, ReloadDone, ReloadFailed


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
        first: Generation,
        load: LoadSettings,
        listeners: Listeners,
        signals: Signals,
        log: ErrorLog,
        pid: int,
        abandon: Callable[[], None],
    ) -> None:
        self._load = load
        self._listeners = listeners
        self._signals = signals
        self._log = log
        self._pid = pid
        self._abandon_more = abandon
        self._notifier = Notifier()
        self._generations = {first.heritage.generation: first}
        self._wanted = first.heritage.generation
        self._wish = Wish.SERVE
        self._why = ""
        self._stop_heard: tuple[signal.Signals | None, float] = (None, 0.0)
        self._memory = Memory()
        self._family = Family(log, time.monotonic, adopts=processes.adopt_orphans())
        self._performer = Performer(self._family, self._generations, log, time.monotonic, self._abandon)
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals, selectors.EVENT_READ)

    def run(self) -> Outcome:
        """Until the policy says Exit."""
        try:
            while True:
                now = time.monotonic()
                decision = decide(self._memory, self._census(now))
                self._memory = decision.memory
                for order in decision.orders:
                    outcome = self._perform(order)
                    if outcome is not None:
                        return outcome
                self._forget_generations()
                if not decision.orders:
                    # Otherwise there are new facts, and perhaps a nearer deadline.
                    self._wait(decision.deadline)
        finally:
            self._selector.close()

    def _census(self, now: float) -> Census:
        templates, children = self._family.counted()
        exits, self._family.exits = tuple(self._family.exits), []
        shapes = {number: generation.shape for number, generation in self._generations.items()}
        return Census(now, self._wish, self._wanted, shapes, templates, children, exits)

    def _wait(self, deadline: float | None) -> None:
        """Take what has happened, most urgent first: the operator, then deaths, then words."""
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = [key.data for key, _ in self._selector.select(timeout)]
        for meaning in self._signals.noted():
            self._heed(meaning)
        for peer in ready:
            # A template speaks for its children's ends, so it is heard before them.
            if isinstance(peer, TemplateHandle):
                self._family.hear_template(peer)
        for peer in ready:
            if isinstance(peer, ChildHandle):
                self._family.hear_child(peer)
        for peer in ready:
            if isinstance(peer, ChildHandle | TemplateHandle) and peer.channel.closed:
                self._silence(peer)
        self._bury()

    def _silence(self, peer: ChildHandle | TemplateHandle) -> None:
        """The end of a channel stays readable for ever: stop waiting for it. Its process is reaped in its own time."""
        if peer.channel.fileno() in self._selector.get_map():
            self._selector.unregister(peer.channel)

    def _bury(self) -> None:
        """Close what belonged to those who are gone."""
        gone, self._family.gone = self._family.gone, []
        for peer in gone:
            if peer.channel.fileno() >= 0:
                self._silence(peer)
                peer.channel.close()
            if isinstance(peer, ChildHandle):
                self._generations[peer.generation].heritage.scoreboard.clear(peer.slot)

    def _heed(self, meaning: Meaning) -> None:
        match meaning.word:
            case Word.STOP if self._wish is Wish.SERVE:
                self._wish, self._why = Wish.STOP, f"told to by {meaning.number.name}"
                self._stop_heard = (meaning.number, time.monotonic())
                self._log.info(f"stops gracefully: {self._why}")
                self._notifier.tell("STOPPING=1")
                # From here on nobody new is to wait in vain: what connects now is refused.
                self._listeners.close()
            case Word.STOP if self._is_echo(meaning):
                self._log.debug(f"{meaning.number.name} came twice; once is meant")
            case Word.STOP | Word.STOP_AT_ONCE if self._wish is not Wish.STOP_AT_ONCE:
                self._wish, self._why = Wish.STOP_AT_ONCE, f"told to by {meaning.number.name}, at once"
                self._log.info(f"stops at once: {meaning.number.name}")
            case Word.RELOAD:
                self._reload()
            case Word.REAP:
                self._family.reaped(processes.reap())
            case _:
                self._log.debug(f"{meaning.number.name}: {meaning.text}")

    def _is_echo(self, meaning: Meaning) -> bool:
        """Whether this is the stop that was heard already: some tools signal a process, and then its whole group."""
        number, at = self._stop_heard
        return meaning.number is number and time.monotonic() - at < ECHO

    def _reload(self) -> None:
        """Build the new settings aside; only if they are good does the policy hear of them."""
        if self._wish is not Wish.SERVE:
            self._log.warning("the reload is refused: the server stops")
            return
        current = self._generations[self._memory.current]
        try:
            settings = self._load(self._log.warning)
            check_reloadable(current.settings, settings)
            generation = make_generation(self._wanted + 1, settings, self._listeners.descriptors)
        except TricornError as error:
            self._log.error(f"the reload is refused, nothing changes: {error}")
            return
        except Exception:  # an error of ours, or a standard error that nobody reads: no reason to end what serves
            self._log.error(f"the reload is refused, nothing changes\n{traceback.format_exc().strip()}")
            return
        self._wanted += 1
        self._generations[self._wanted] = generation
        self._log.info(f"reloads: generation {self._wanted} is tried out")

    def _perform(self, order: Order) -> Outcome | None:
        match order:
            case Announce(generation):
                self._announce(generation)
            case ReloadDone(generation):
                self._follow(generation)
            case ReloadFailed(generation, reason):
                self._log.error(f"the reload failed, generation {self._memory.current} goes on: {reason}")
            case Exit(code, reason):
                logs = self._generations[self._memory.current].settings.logs
                return Outcome(code, self._why or reason, self._log, logs.error_log == "-")
            case _:
                peer = self._performer.perform(order)
                if peer is not None:
                    self._selector.register(peer.channel, selectors.EVENT_READ, peer)
        return None

    def _announce(self, generation: int) -> None:
        template = self._family.templates.get(generation)
        interface = template.interface if template is not None else ""
        settings = self._generations[generation].settings
        self._log.always(announce.serving(settings, interface, self._listeners.addresses, self._pid))
        self._notifier.tell("READY=1", f"MAINPID={self._pid}")

    def _follow(self, generation: int) -> None:
        """The new generation's log is the server's log from now on."""
        log = self._generations[generation].heritage.log("parent")
        self._log = self._family.log = self._performer.log = log
        children = self._generations[generation].shape.children
        count = "1 child is" if children == 1 else f"{children} children are"
        self._log.info(f"reloaded: generation {generation} serves; {count} replaced one by one")

    def _forget_generations(self) -> None:
        """Close the logs of generations that have no process left and will get none."""
        in_use = {self._memory.current, self._memory.candidate, self._wanted}
        if self._memory.settled >= self._wanted:
            in_use.discard(self._wanted)
            in_use.add(self._memory.current)
        in_use |= set(self._family.templates) | {generation for generation, _ in self._family.children}
        for number in set(self._generations) - in_use:
            self._generations.pop(number).logs.close()

    def _abandon(self) -> None:
        """In a freshly forked template: let go of the parent's descriptors but for listeners and logs."""
        self._selector.close()
        self._signals.abandon()
        for peer in (*self._family.templates.values(), *self._family.children.values(), *self._family.gone):
            peer.channel.close()
        for child in self._family.children.values():
            if child.pidfd is not None:
                os.close(child.pidfd)
        self._abandon_more()
