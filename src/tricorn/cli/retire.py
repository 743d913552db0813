"""`tricorn retire CHILD`: one child is replaced, gently."""

from __future__ import annotations

from pathlib import Path

import click

from tricorn.cli.verb import Call, Number, VerbCommand, outcome_text
from tricorn.control.messages import MOST, Request, Verb


def run_retire(socket: Path | None, as_json: bool, child: int) -> int:  # noqa: FBT001  (click passes by name)
    """Ask for it."""
    return Call(Request(Verb.RETIRE, child=child), socket, as_json=as_json).run(outcome_text)


retire = VerbCommand(
    Verb.RETIRE,
    run_retire,
    "Replace the child in the slot CHILD (the first column of `tricorn status`): its replacement becomes ready first,"
    " then it answers what it has read and leaves.",
    [click.Argument(["child"], type=Number(0, MOST), metavar="CHILD")],
)
