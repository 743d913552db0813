"""What an operator may ask of the running server, as the control socket needs it; the loop does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tricorn.control.messages import Done, Outcome, Progress, Request, Verb


class Operations(Protocol):
    """What the loop offers. All are called on the loop's thread, and none may wait."""

    def status(self) -> Mapping[str, Any]:
        """What the server is doing, as JSON data: made by `tricorn.status.report`."""

    def why(self) -> list[Mapping[str, Any]]:
        """The last decisions, newest last: {"at": RFC 3339, "what": text, "reason": text}."""

    def reload(self, done: Callable[[Outcome], None]) -> None:
        """Begin a reload; `done` is called once, now or later, with how it ended."""

    def stop(self, *, now: bool) -> None:
        """Begin to stop: gracefully, or at once."""

    def upgrade(self, done: Callable[[Outcome], None]) -> None:
        """Begin a binary upgrade; `done` is called once, now or later, with how it ended."""

    def reopen_logs(self) -> Outcome:
        """Open the files of the logs anew."""

    def resize(self, most_units: int) -> Outcome:
        """Change how many units there may be."""

    def retire(self, child: int) -> Outcome:
        """Have the child in this slot replaced."""


class Reply(Protocol):
    """Whom the answer goes to."""

    def tell(self, answer: Progress | Done) -> None:
        """Say something; after a `Done` the conversation is over, and further words are for nobody."""


def carry_out(request: Request, operations: Operations, reply: Reply) -> None:
    """Do what is asked and tell the outcome, at once or when it is known. What `operations` raises is raised here."""

    def done(outcome: Outcome) -> None:
        reply.tell(Done(outcome))

    match request.verb:
        case Verb.STATUS:
            reply.tell(Done(Outcome(0, ""), operations.status()))
        case Verb.WHY:
            reply.tell(Done(Outcome(0, ""), {"decisions": list(operations.why())}))
        case Verb.RELOAD:
            operations.reload(done)
            reply.tell(Progress("the reload is on its way"))
        case Verb.UPGRADE:
            operations.upgrade(done)
            reply.tell(Progress("the upgrade has begun"))
        case Verb.STOP:
            operations.stop(now=request.now)
            # No last word: what ends this conversation is the end of the server.
            reply.tell(Progress("the server stops at once" if request.now else "the server stops"))
        case Verb.REOPEN_LOGS:
            done(operations.reopen_logs())
        case Verb.RESIZE:
            done(operations.resize(request.most))
        case Verb.RETIRE:
            done(operations.retire(request.child))
