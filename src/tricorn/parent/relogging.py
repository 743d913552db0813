"""Opening the log files anew (after a rotation): by the parent, which may, for everybody below it."""

from __future__ import annotations

from tricorn.control.messages import Outcome
from tricorn.errors import ConfigError
from tricorn.logs import files
from tricorn.parent import processes
from tricorn.parent.generations import Generation
from tricorn.parent.processes import ChildHandle, TemplateHandle
from tricorn.parent.server import Server


def reopen(server: Server) -> Outcome:
    """Every generation's files; those that cannot be opened stay as they are, and the outcome says so."""
    problems = []
    for generation in server.generations.values():
        try:
            _reopen(server, generation)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        text = f"the logs are not reopened: {'; '.join(problems)}"
        server.log.error(text)
        return Outcome(2, text)
    server.log.info("the logs are reopened")
    return Outcome(0, "the logs are reopened")


def _reopen(server: Server, generation: Generation) -> None:
    opened = files.reopen(generation.settings.logs)
    try:
        generation.logs.adopt(opened.error, opened.access)
        number = generation.heritage.generation
        below: list[ChildHandle | TemplateHandle] = [
            *(template for template in server.family.templates.values() if template.generation == number),
            *(child for child in server.family.children.values() if child.generation == number and not child.killed),
        ]
        for peer in below:
            try:
                processes.hand_logs(peer, opened.error, opened.access)
            except (BrokenPipeError, ConnectionResetError):
                # It has ended, or ends very soon: it writes no more.
                continue
            except OSError as error:
                server.log.named(peer.name).warning(f"goes on with its old logs: {error.strerror or error}")
    finally:
        opened.close()
