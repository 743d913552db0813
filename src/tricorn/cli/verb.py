"""What the commands that speak to a running server have in common: which server, the conversation, and the answer told.

Each verb has a module that says what is asked for and how the answer reads. Texts of a server may be those of another
user's program, so they are made plain before a terminal sees them.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from tricorn.cli.exit_codes import VERB_EXIT_CODES
from tricorn.control.client import Conversation, NoAnswerError
from tricorn.control.find import find_server
from tricorn.control.messages import Done, Outcome, Request, Verb
from tricorn.errors import TricornError
from tricorn.status.text import plain

QUICK: Final = 30.0
"""Seconds for an answer that a server gives from its head; only one that hangs needs longer."""
Render = Callable[[Done], str]


class TooLateError(TricornError):
    """The server did not do it within --timeout; it may still do it."""

    exit_code = 7


class VerbCommand(click.Command):
    """A command with --socket and --json, whose complaints about its own words are JSON too where that was asked for."""

    def __init__(
        self, verb: Verb, callback: Callable[..., int], text: str, params: Sequence[click.Parameter] = ()
    ) -> None:
        socket = click.Option(
            ["--socket"],
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="The control socket of the server that is meant. [control_socket of the configuration here, or the"
            " only server of this user]",
        )
        as_json = click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object, of errors too.")
        super().__init__(
            verb.value, callback=callback, params=[*params, socket, as_json], help=text, epilog=VERB_EXIT_CODES
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the line; what it should not have may be meant for an application of this name."""
        as_json = "--json" in args
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            text = error.format_message()
            # A word or an option that has no place here may be meant for another command.
            if not isinstance(error, click.MissingParameter) and not isinstance(
                getattr(error, "param", None), click.Option
            ):
                text = f"{text} {module_hint(self.name or '', asked=True)}"
            if not as_json:
                raise click.UsageError(text, ctx) from None
            _tell_json(self.name or "", None, Done(Outcome(error.exit_code, text)), ())
            raise click.exceptions.Exit(error.exit_code) from None


def timeout_option(meaning: str) -> click.Option:
    """--timeout of a verb that takes its time."""
    return click.Option(["--timeout"], type=Timeout(), metavar="SECONDS", help=f"{meaning} [no limit]")


class Number(click.IntRange):
    """A whole number within bounds."""

    name = "whole number"


class Timeout(click.FloatRange):
    """Seconds from 0; neither infinite nor not a number, as which `float` would take the words."""

    name = "number of seconds"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of a text."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds


def module_hint(name: str, *, asked: bool = False) -> str:
    """That an application of a verb's name is served with `serve`: if it is `asked`, or if there is such a module here."""
    if asked or Path(f"{name}.py").is_file() or Path(name).is_dir():
        return f"(An application in a module called {name} is served with: tricorn serve {name})"
    return ""


class Call:
    """One call of a verb: the conversation with the server, and what is told of it."""

    def __init__(self, request: Request, socket: Path | None, *, as_json: bool) -> None:
        self.request = request
        self.as_json = as_json
        self.path: Path | None = None
        self._asked = socket
        self._heard: list[str] = []

    def run(self, render: Render, timeout: float | None = QUICK) -> int:
        """Ask and tell; `timeout` (seconds) bounds the answer, None waits. Returns the exit code."""

        def converse(conversation: Conversation) -> Done:
            done = conversation.ask(self.request, self.hear, _deadline(timeout))
            assert done is not None  # noqa: S101  (only who says `ends` gets None)
            return done

        return self.tell(converse, render)

    def tell(self, converse: Callable[[Conversation], Done], render: Render) -> int:
        """Find the server, have the conversation, print the outcome. Returns the exit code."""
        verb = self.request.verb.value
        pid: int | None = None
        try:
            self.path = find_server(self._asked, Path.cwd(), os.environ, os.geteuid())
            with Conversation(self.path) as conversation:
                pid = conversation.pid
                done = converse(conversation)
        except TricornError as error:
            hint = module_hint(verb) if isinstance(error, NoAnswerError) and self.path is None else ""
            text = f"{error} {hint}".strip()
            done = Done(Outcome(error.exit_code, text))
        if self.as_json:
            server = None if self.path is None else {"socket": str(self.path), "pid": pid}
            _tell_json(verb, server, done, self._heard)
        elif done.outcome.code:
            fail(done.outcome)
        elif text := render(done):
            click.echo(text)
        return done.outcome.code

    def hear(self, text: str) -> None:
        """Pass on what the server says before its last word."""
        self._heard.append(text)
        if not self.as_json:
            click.echo(f"tricorn: {plain(text)}", err=True)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def fail(outcome: Outcome) -> None:
    """Print an outcome that is none."""
    for line in outcome.text.splitlines() or ["it gave no reason"]:
        click.echo(f"tricorn: error: {plain(line)}", err=True)


def outcome_text(done: Done) -> str:
    """How an operation ended, in the server's words."""
    return "\n".join(plain(line) for line in done.outcome.text.splitlines())


def patiently(call: Call, timeout: float | None) -> int:
    """Run a verb whose outcome takes its time, bounded by --timeout. Returns the exit code."""

    def converse(conversation: Conversation) -> Done:
        deadline = _deadline(timeout)
        try:
            done = conversation.ask(call.request, call.hear, deadline)
        except NoAnswerError:
            if deadline is not None and time.monotonic() >= deadline:
                too_late(call.request.verb, timeout)
            raise
        assert done is not None  # noqa: S101  (only who says `ends` gets None)
        return done

    return call.tell(converse, outcome_text)


def too_late(verb: Verb, timeout: float | None) -> NoReturn:
    """Raise that the outcome is not known yet."""
    raise TooLateError(f"{verb.value} has not ended within {timeout:g} s; the server goes on with it")


def _tell_json(verb: str, server: Mapping[str, Any] | None, done: Done, heard: Sequence[str]) -> None:
    document = {
        "verb": verb,
        "code": done.outcome.code,
        "text": done.outcome.text,
        "server": server,
        "progress": list(heard),
        "data": dict(done.data),
    }
    click.echo(json.dumps(document))
