"""`tricorn serve APP`: settings, then the parent process until the server stops."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import click

from tricorn.cli.exit_codes import EXIT_CODES
from tricorn.cli.options import DirectiveCommand, command_line, directive_parameters
from tricorn.cli.sources import Sources
from tricorn.config.settings import Settings


def run_serve(app: tuple[str, ...], config: str | None, **options: Any) -> int:
    """Serve until told to stop; the exit code says how it ended."""
    sources = Sources.of_this_process(command_line(app, config, options))

    def load(warn: Callable[[str], object]) -> Settings:
        """Read every source again: at the start, and at each reload, when `warn` writes to the log."""
        configuration = sources.configure()
        for warning in configuration.warnings:
            warn(warning)
        return configuration.settings

    settings = load(warn_at_the_terminal)
    from tricorn import parent  # noqa: PLC0415  (a mistake in the configuration is told before anything is loaded)

    return parent.serve(settings, load)


def warn_at_the_terminal(warning: str) -> None:
    """Tell a warning before there is a log; that nobody can read it is no reason not to serve."""
    with contextlib.suppress(OSError):
        click.echo(f"tricorn: warning: {warning}", err=True)


serve = DirectiveCommand(
    "serve",
    callback=run_serve,
    params=directive_parameters(),
    help="Serve APP (module:attribute, module, module:factory(), path/file.py:attribute) until told to stop.\n\n"
    "Each option may stand in tricorn.toml, or in the environment as TRICORN_NAME, too: `tricorn directives` tells all"
    " about each. Without --workers, children come and go with the load. Signals: TERM and INT stop gracefully, QUIT at"
    " once, HUP reloads.",
    epilog=EXIT_CODES,
)
