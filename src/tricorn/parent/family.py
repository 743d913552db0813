"""Who there is below the parent, what they have said, and who has gone: the facts from which the census is made.

What a child or template says is checked by the channel; here it changes the facts, which `facts.py` counts. Nothing is
decided here.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tricorn.child import overdue
from tricorn.child.channel import ProtocolError
from tricorn.child.messages import Asked, Begun, Failed, Leaving, Ready
from tricorn.logs import ErrorLog
from tricorn.parent import processes
from tricorn.parent.oom import OomWatch
from tricorn.parent.processes import ChildHandle, TemplateHandle
from tricorn.policy.census import ChildExit, ChildState, TemplateExit, TemplateState
from tricorn.template.messages import Forked, ForkFailed, Imported, Reaped, TemplateFailed, Unsafe

_MOST_WORDS = 16
"""Records of a child in its life, and between two recalls; it has five kinds, each to be told once."""
_LONGEST_REASON = 200
"""Characters of what a child gives as its reason; it goes into the log."""


class Family:
    """All templates and children. Used by the parent's only thread."""

    def __init__(self, log: ErrorLog, clock: Callable[[], float], oom: OomWatch, *, adopts: bool) -> None:
        self.log = log
        self.templates: dict[int, TemplateHandle] = {}
        """By generation; a generation has one at a time."""
        self.children: dict[tuple[int, int], ChildHandle] = {}
        """By generation and slot."""
        self.exits: list[ChildExit | TemplateExit] = []
        """Since the last census."""
        self.gone: list[ChildHandle | TemplateHandle] = []
        """Since the last census; their channels are still open, for the loop to forget and close."""
        self._clock = clock
        self.oom = oom
        self._adopts = adopts

    # What they say.

    def hear_template(self, template: TemplateHandle) -> None:
        """Everything the template has said since."""
        try:
            for record in template.channel.receive():
                match record:
                    case Imported(interface):
                        self._enter(template, TemplateState.READY)
                        template.interface = interface
                    case Unsafe(findings):
                        if template.unsafe:
                            raise ProtocolError("twice what its import left behind")
                        template.unsafe = True
                        self.log.named(template.name).warning(
                            f"the import left behind {', '.join(findings)}, which must not be inherited: "
                            "each child imports the application for itself, so they share less memory "
                            "(preload = on shares nevertheless, preload = off ends this warning)"
                        )
                    case TemplateFailed(code, text):
                        template.failure = _exit_code(code), text
                    case Forked(slot, pid, pinned):
                        self._forked(template, slot, pid, template.channel.take_descriptor() if pinned else None)
                    case ForkFailed(slot, text):
                        self._unforked(template, slot, text)
                    case Reaped(slot, pid, status):
                        child = self.children.get((template.generation, slot))
                        if child is not None and child.pid == pid:
                            self._child_gone(child, status)
        except ProtocolError as error:
            self._incomprehensible(template, error)

    def hear_child(self, child: ChildHandle) -> None:
        """Everything the child has said since."""
        try:
            self._listen(child)
        except ProtocolError as error:
            self._incomprehensible(child, error)
        if child.channel.closed and child.silent_since is None:
            child.silent_since = self._clock()
        if child.channel.closed and child.orphaned and (child.pid is None or not self._adopts):
            self._child_gone(child, None)

    def _listen(self, child: ChildHandle) -> None:
        for record in child.channel.receive():
            child.words += 1
            if child.words > _MOST_WORDS:
                raise ProtocolError("more than a child has to say")
            match record:
                case Begun(pid):
                    # Believed only of an orphan, which the template cannot speak for any more.
                    if child.orphaned and child.pid is None:
                        if not processes.belongs(pid, None, self._parents(child.template)):
                            raise ProtocolError(f"the pid {pid}, which is not its own")
                        processes.forked(child, pid, None)
                case Ready():
                    if child.state in (ChildState.STARTING, ChildState.RESTING):
                        waited = self._clock() - child.since
                        self._enter_child(child, ChildState.READY)
                        self.log.named(child.name).debug(f"serves, {waited * 1000:.0f} ms after it was asked to")
                case Asked(reason):
                    if not child.asked:
                        child.asked = reason[:_LONGEST_REASON]
                case Leaving(reason):
                    if child.state is not ChildState.DRAINING:
                        self._enter_child(child, ChildState.DRAINING)
                        child.deserts = True
                        self.log.named(child.name).info(f"leaves: {reason[:_LONGEST_REASON]}")
                case Failed(code, text):
                    child.failure = _exit_code(code), text

    # Who has gone.

    def reaped(self, ended: dict[int, int]) -> None:
        """Processes below the parent have ended: wait status by pid."""
        # Templates first: only then it is known whose children are the parent's own now.
        for template in list(self.templates.values()):
            if template.pid in ended:
                template.reaped = True
                self.hear_template(template)
                self._template_gone(template, ended)
        for child in list(self.children.values()):
            if child.orphaned and child.pid in ended:
                self._child_gone(child, ended[child.pid])

    def _template_gone(self, template: TemplateHandle, ended: dict[int, int]) -> None:
        del self.templates[template.generation]
        self.gone.append(template)
        reason = self._template_reason(template, ended[template.pid])
        self.exits.append(
            TemplateExit(
                template.generation,
                template.state,
                unsafe=template.unsafe,
                failure=template.failure[0] if template.failure else None,
                reason=reason,
            )
        )
        for child in [child for child in self.children.values() if child.template is template]:
            child.orphaned = True
            # What it said so far, or that it never was.
            self.hear_child(child)
            if self._adopts and child.pid is not None and child.pid not in ended and processes.is_lost(child.pid):
                # The template had reaped it, and died before it could tell.
                self._child_gone(child, None)

    def _template_reason(self, template: TemplateHandle, status: int) -> str:
        log = self.log.named(template.name)
        if template.unsafe and not template.killed:
            return "what its import left behind must not be inherited"
        if template.failure is not None:
            # The text goes to whoever asked for the template: it ends the start, or a reload, or is told here.
            return template.failure[1]
        if template.killed:
            return template.killed
        if template.state is TemplateState.DROPPED:
            log.debug(f"has left: {processes.phrase(status)}")
            return "the template of an older generation has left"
        oom = self.oom.explain(self._clock()) if processes.is_kill(status) else ""
        reason = f"the template ended unasked: {processes.phrase(status)}{oom}"
        log.error(f"{reason}; its children go on")
        return reason

    def _child_gone(self, child: ChildHandle, status: int | None) -> None:
        if (child.generation, child.slot) not in self.children:
            return
        del self.children[child.generation, child.slot]
        self.gone.append(child)
        try:
            # It may have said why just before.
            self._listen(child)
        except ProtocolError as error:
            self.log.named(child.name).error(f"its last words were {error}")
        if child.pidfd is not None:
            os.close(child.pidfd)
            child.pidfd = None
        existed = child.pid is not None or status is not None
        reason = self._child_reason(child, status) if existed else "its template ended before the fork"
        failure = child.failure[0] if child.failure else None
        # Whoever goes of its own accord is counted like one that crashed: its successors may fare the same.
        was = ChildState.READY if child.deserts else child.state
        late = status is not None and _ended_overdue(status) and child.state is ChildState.READY
        self.exits.append(
            ChildExit(
                child.slot,
                child.generation,
                was,
                forked=existed,
                failure=failure,
                reason=reason,
                overdue=self._clock() - child.since if late else None,
            )
        )

    def _child_reason(self, child: ChildHandle, status: int | None) -> str:
        how = "it is not known how" if status is None else processes.phrase(status)
        if status is not None and processes.is_kill(status) and not child.killed:
            how += self.oom.explain(self._clock())
        log = self.log.named(child.name)
        if child.failure is not None:
            log.error(f"ended: {child.failure[1]}")
            return child.failure[1]
        if child.killed:
            log.info(f"ended: {how}")
            return child.killed
        if child.state is ChildState.DRAINING:
            if status in (0, None):
                log.debug("has left")
            else:
                log.warning(f"ended while it drained: {how}")
        elif status is not None and _ended_overdue(status) and child.state is ChildState.READY:
            log.warning("ended: a request took longer than timeout, and it had no thread to go on with")
            return "a request took longer than timeout"
        elif child.state is ChildState.STARTING:
            log.error(f"ended before it was ready: {how}")
            return f"a child ended before it was ready: {how}"
        else:
            log.error(f"ended unasked: {how}; the requests it had are lost")
        return how

    # Bookkeeping.

    def _forked(self, template: TemplateHandle, slot: int, pid: int, pidfd: int | None) -> None:
        child = self.children.get((template.generation, slot))
        if child is None or child.pid is not None:
            if pidfd is not None:
                os.close(pidfd)
            return
        if not processes.belongs(pid, pidfd, self._parents(template)):
            if pidfd is not None:
                os.close(pidfd)
            raise ProtocolError(f"the pid {pid}, which is no child of it")
        processes.forked(child, pid, pidfd)
        self.log.named(child.name).debug("forked")

    def _unforked(self, template: TemplateHandle, slot: int, text: str) -> None:
        child = self.children.get((template.generation, slot))
        if child is None:
            return
        if child.pid is not None:
            raise ProtocolError("that a child was not forked which it has forked")
        del self.children[template.generation, slot]
        self.gone.append(child)
        self.log.named(child.name).error(text)
        self.exits.append(ChildExit(slot, template.generation, child.state, reason=text))

    def _parents(self, template: TemplateHandle) -> frozenset[int]:
        """Who may be the parent of a template's child: the template, and whoever has adopted it when that was gone."""
        return frozenset({template.pid, os.getpid() if self._adopts else 1})

    def _incomprehensible(self, peer: ChildHandle | TemplateHandle, error: ProtocolError) -> None:
        peer.channel.give_up()
        if peer.killed:
            return
        self.log.named(peer.name).error(f"is killed: it sent {error}")
        if isinstance(peer, ChildHandle):
            processes.kill_child(peer, f"it sent {error}")
            peer.since = self._clock()
        else:
            processes.kill_template(peer, f"it sent {error}")

    def _enter(self, template: TemplateHandle, state: TemplateState) -> None:
        if template.state is TemplateState.IMPORTING:
            template.state = state
            template.since = self._clock()

    def _enter_child(self, child: ChildHandle, state: ChildState) -> None:
        child.state = state
        child.since = self._clock()


def _ended_overdue(status: int) -> bool:
    """Whether this is how a child ends because of a request that takes too long. Anybody may end like that."""
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == overdue.EXIT_CODE


def _exit_code(told: int) -> int:
    """The exit code of a failure, with which the server may have to end; 0, and what the system makes 0, is none."""
    if not 1 <= told <= 255:
        raise ProtocolError(f"the exit code {told}")
    return told
