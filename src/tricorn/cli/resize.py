"""`tricorn resize --max N`: another limit, until the next reload."""

from __future__ import annotations

from pathlib import Path

import click

from tricorn.cli.verb import Call, Number, VerbCommand, outcome_text
from tricorn.control.messages import MOST, Request, Verb


def run_resize(socket: Path | None, as_json: bool, most: int) -> int:  # noqa: FBT001  (click passes by name)
    """Ask for it."""
    return Call(Request(Verb.RESIZE, most=most), socket, as_json=as_json).run(outcome_text)


resize = VerbCommand(
    Verb.RESIZE,
    run_resize,
    "Change max_request_workers of the running server: at most N processes under prefork, N threads under worker and"
    " event. What the configuration says is in force again after a reload.",
    [
        click.Option(
            ["--max", "most"],
            type=Number(1, MOST),
            metavar="N",
            required=True,
            help="How many there may be, from 1.",
        )
    ],
)
