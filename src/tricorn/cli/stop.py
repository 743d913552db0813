"""`tricorn stop`: returns when the server is gone."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tricorn.cli.verb import Call, VerbCommand, outcome_text, timeout_option, too_late
from tricorn.control.client import Conversation, NoAnswerError
from tricorn.control.messages import Done, Outcome, Request, Verb


def run_stop(socket: Path | None, as_json: bool, now: bool, timeout: float | None) -> int:  # noqa: FBT001
    """Tell it to stop, and wait for its end."""
    call = Call(Request(Verb.STOP, now=now), socket, as_json=as_json)

    def converse(conversation: Conversation) -> Done:
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            done = conversation.ask(call.request, call.hear, deadline, ends=True)
            if done is not None:  # it refuses, or it is one that says goodbye
                return done
        except NoAnswerError:
            if deadline is None or time.monotonic() < deadline:
                raise
        if not conversation.wait_for_end(deadline):
            too_late(Verb.STOP, timeout)
        who = "the server" if conversation.pid is None else f"the server with pid {conversation.pid}"
        return Done(Outcome(0, f"{who} has stopped"))

    return call.tell(converse, outcome_text)


stop = VerbCommand(
    Verb.STOP,
    run_stop,
    "Stop the server and wait until it is gone. Requests that it has read are answered first, within drain_delay and"
    " graceful_timeout.",
    [
        click.Option(["--now"], is_flag=True, help="Stop at once: requests that are being answered are lost."),
        timeout_option("Wait no longer for the end; the server goes on stopping."),
    ],
)
