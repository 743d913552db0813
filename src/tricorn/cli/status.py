"""`tricorn status`: what the server is doing."""

from __future__ import annotations

import shutil
from pathlib import Path

from tricorn.cli.verb import Call, VerbCommand
from tricorn.control.messages import Done, Request, Verb
from tricorn.status.text import status_text


def run_status(socket: Path | None, as_json: bool) -> int:  # noqa: FBT001  (click passes by name)
    """Print the page."""
    return Call(Request(Verb.STATUS), socket, as_json=as_json).run(page)


def page(done: Done) -> str:
    """The page for this terminal."""
    return status_text(done.data, max(80, shutil.get_terminal_size().columns))


status = VerbCommand(
    Verb.STATUS, run_status, "Tell what the server is doing: capacity, memory, a reload that goes on, each child."
)
