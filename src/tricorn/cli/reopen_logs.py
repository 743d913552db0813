"""`tricorn reopen-logs`: after a log was moved away."""

from __future__ import annotations

from pathlib import Path

from tricorn.cli.verb import Call, VerbCommand, outcome_text
from tricorn.control.messages import Request, Verb


def run_reopen_logs(socket: Path | None, as_json: bool) -> int:  # noqa: FBT001  (click passes by name)
    """Ask for it."""
    return Call(Request(Verb.REOPEN_LOGS), socket, as_json=as_json).run(outcome_text)


reopen_logs = VerbCommand(
    Verb.REOPEN_LOGS, run_reopen_logs, "Open the files of the error log and the access log anew, after a rotation."
)
