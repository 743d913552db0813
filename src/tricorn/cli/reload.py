"""`tricorn reload`: the configuration and the application anew; the exit code says whether they serve."""

from __future__ import annotations

from pathlib import Path

from tricorn.cli.verb import Call, VerbCommand, patiently, timeout_option
from tricorn.control.messages import Request, Verb


def run_reload(socket: Path | None, as_json: bool, timeout: float | None) -> int:  # noqa: FBT001
    """Ask for it and wait for the outcome."""
    return patiently(Call(Request(Verb.RELOAD), socket, as_json=as_json), timeout)


reload = VerbCommand(
    Verb.RELOAD,
    run_reload,
    "Read the configuration and import the application anew, without losing a request. Ends when the new generation"
    " serves, or was given up: then the old one goes on, and the exit code tells why.",
    [timeout_option("Wait no longer for the outcome; the reload goes on.")],
)
