"""`tricorn upgrade`: another build of the server itself takes over the sockets."""

from __future__ import annotations

from pathlib import Path

from tricorn.cli.verb import Call, VerbCommand, patiently, timeout_option
from tricorn.control.messages import Request, Verb


def run_upgrade(socket: Path | None, as_json: bool, timeout: float | None) -> int:  # noqa: FBT001
    """Ask for it and wait for the outcome."""
    return patiently(Call(Request(Verb.UPGRADE), socket, as_json=as_json), timeout)


upgrade = VerbCommand(
    Verb.UPGRADE,
    run_upgrade,
    "Start the command of the server anew (a new interpreter, a new tricorn) with the same listening sockets; when it"
    " serves, the old server drains and ends. If it does not come to serve, the old one goes on.",
    [timeout_option("Wait no longer for the outcome; the upgrade goes on.")],
)
