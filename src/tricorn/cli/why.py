"""`tricorn why`: the last decisions of the server, with their reasons."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

from tricorn.cli.verb import Call, VerbCommand
from tricorn.control.messages import Done, Request, Verb
from tricorn.status.text import decisions_text

UNBROKEN: Final = 1 << 20
"""Columns in which every line has room."""


def run_why(socket: Path | None, as_json: bool) -> int:  # noqa: FBT001  (click passes by name)
    """Print the decisions, newest last."""
    return Call(Request(Verb.WHY), socket, as_json=as_json).run(table)


def table(done: Done) -> str:
    """The decisions for this terminal, or a line each for a program that reads lines."""
    decisions = done.data.get("decisions")
    width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else UNBROKEN
    return decisions_text(decisions if isinstance(decisions, list) else [], width)


why = VerbCommand(Verb.WHY, run_why, "Tell why the server has started, retired or killed children lately, newest last.")
