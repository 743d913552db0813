"""Reloads as the parent handles them: one trial at a time, whatever was asked for meanwhile makes one more, and whoever
asked hears how it ended. How a generation is tried out and replaces another is the policy's business.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from itertools import chain

from tricorn.control.messages import Outcome
from tricorn.errors import TricornError
from tricorn.parent.generations import check_reloadable, make_generation
from tricorn.parent.server import Server
from tricorn.policy.census import ChildState, TemplateState, Wish
from tricorn.policy.reload import HANGS
from tricorn.status.report import ReloadFacts

Asker = Callable[[Outcome], None]
"""Told once how the reload ended."""

STOPPING = Outcome(2, "the reload is refused: the server stops")


class Reloads:
    """Used by the parent's only thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._askers: dict[int, list[Asker]] = {}
        """By generation, of the reloads that go on."""
        self._next: list[Asker] = []
        """Of the one after it."""
        self._again = False
        """Whether there is to be one after it."""
        self._since: float | None = None
        """When the reload that goes on began; None when none does."""

    @property
    def in_trial(self) -> bool:
        """Whether a new generation is being tried out, and nobody knows yet how that ends."""
        return self._server.wanted > self._server.memory.settled

    @property
    def facts(self) -> ReloadFacts | None:
        """For the operator: what goes on."""
        server = self._server
        if self._since is None:
            return None
        if not self.in_trial:
            state = "replacing"
        else:
            template = server.family.templates.get(server.wanted)
            ready = template is not None and template.state is not TemplateState.IMPORTING
            state = "canary" if ready else "importing"
        return ReloadFacts(state, server.wanted, server.clock() - self._since)

    def ask(self, asker: Asker | None = None) -> None:
        """Reload now, or as soon as the trial that goes on has ended: what changed since it began is not in it."""
        askers = [asker] if asker is not None else []
        if self._server.wish is not Wish.SERVE:
            self._server.log.warning(STOPPING.text)
            _tell(askers, STOPPING)
        elif self.in_trial:
            self._again = True
            self._next += askers
            self._server.log.info("one more reload follows the one that goes on")
        else:
            self._begin(askers)

    def _begin(self, askers: list[Asker]) -> None:
        """Build the new settings aside; only if they are good does the policy hear of them."""
        server = self._server
        number = server.wanted + 1
        try:
            settings = server.load(server.log.warning)
            check_reloadable(server.current.settings, settings)
            elders = server.generations.values()
            generation = make_generation(number, settings, server.listeners.descriptors, server.bell.rung, elders)
        except TricornError as error:
            self._refuse(askers, Outcome(error.exit_code, f"the reload is refused, nothing changes: {error}"))
            return
        except OSError as error:  # the directory of the start is gone, say
            self._refuse(askers, Outcome(1, f"the reload is refused, nothing changes: {error}"))
            return
        except Exception:  # an error of ours: no reason to end what serves
            text = f"the reload is refused, nothing changes\n{traceback.format_exc().strip()}"
            self._refuse(askers, Outcome(1, text))
            return
        server.generations[number] = generation
        server.wanted = number
        self._askers[number] = askers
        self._since = server.clock()
        server.notifier.reloading()
        server.log.info(f"reloads: generation {number} is tried out")

    def _refuse(self, askers: list[Asker], outcome: Outcome) -> None:
        server = self._server
        server.log.error(outcome.text)
        server.history.note("a reload is refused", outcome.text)
        if not self.in_trial:
            # A supervisor that has asked by signal waits for both words.
            server.notifier.reloading()
            server.notifier.ready(server.pid)
        _tell(askers, outcome)

    def failed(self, generation: int, code: int, reason: str) -> None:
        """The trial has failed; the generation that served goes on."""
        server = self._server
        text = f"the reload failed, generation {server.memory.current} goes on: {reason}"
        server.log.error(text)
        server.history.note("the reload failed", reason)
        self._end(generation, Outcome(code, text))

    def promoted(self) -> None:
        """The first new child has proved itself; its generation serves from now on, the old children are replaced."""
        server = self._server
        server.limit = None
        server.follow_log()
        server.log.info(
            f"reloaded: generation {server.memory.current} serves; the children of the old one are replaced one by one"
        )
        server.history.note(f"generation {server.memory.current} serves", "its first child has proved itself")

    def look(self) -> None:
        """After each decision: whether the replacement is complete, and whether another reload is to begin."""
        server = self._server
        if server.wish is not Wish.SERVE:
            self._stopped()
            return
        if not self.in_trial and self._since is not None and not self._old_ones_serve():
            current = server.memory.current
            # With those of generations that were replaced themselves before they were alone.
            for generation in [generation for generation in self._askers if generation <= current] or [current]:
                self._end(generation, Outcome(0, f"reloaded: generation {current} serves alone"))
        if self._again and (not self.in_trial or self._hangs()):
            self._again = False
            askers, self._next = self._next, []
            self._begin(askers)

    @property
    def deadline(self) -> float | None:
        """When `look` has something to do even if nothing happens: a trial may be seen to hang then."""
        template = self._server.family.templates.get(self._server.wanted)
        if not self._again or template is None or template.state is not TemplateState.IMPORTING:
            return None
        return template.since + HANGS

    def _hangs(self) -> bool:
        """Whether the trial that goes on has to give way; the policy ends it when it hears of the next."""
        return self.deadline is not None and self._server.clock() >= self.deadline

    def _old_ones_serve(self) -> bool:
        current = self._server.memory.current
        return any(
            child.generation != current and child.state is not ChildState.DRAINING
            for child in self._server.family.children.values()
        )

    def _end(self, generation: int, outcome: Outcome) -> None:
        if not self.in_trial:
            self._since = None
            self._server.notifier.ready(self._server.pid)
        _tell(self._askers.pop(generation, []), outcome)

    def _stopped(self) -> None:
        self._since, self._again = None, False
        askers = [*chain.from_iterable(self._askers.values()), *self._next]
        self._askers, self._next = {}, []
        _tell(askers, STOPPING)


def _tell(askers: list[Asker], outcome: Outcome) -> None:
    for asker in askers:
        asker(outcome)
