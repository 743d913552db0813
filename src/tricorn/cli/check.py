"""`tricorn check APP`: everything that can be wrong is found without serving, and every value tells where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from tricorn.cli.exit_codes import EXIT_CODES
from tricorn.cli.options import DirectiveCommand, command_line, directive_parameters
from tricorn.cli.sources import Sources
from tricorn.config import show
from tricorn.config.settings import Settings


def run_check(
    app: tuple[str, ...],
    config: str | None,
    import_application: bool,  # noqa: FBT001  (click passes by name)
    form: str,
    **options: Any,
) -> int:
    """Check, import unless told not to, print; every error becomes an exit code in `entry`."""
    configuration = Sources.of_this_process(command_line(app, config, options)).configure()
    if form != "json":  # the warnings are part of the JSON document
        for warning in configuration.warnings:
            click.echo(f"tricorn: warning: {warning}", err=True)
    application = describe_application(configuration.settings) if import_application else None
    if form == "json":
        click.echo(show.as_json(configuration, application))
    elif form == "toml":
        click.echo(show.as_toml(configuration))
    else:
        click.echo(show.as_text(configuration))
        found = "not imported" if application is None else f"imported, {application['interface']}"
        click.echo(f"# Application {configuration.settings.application.reference}: {found}. No errors.")
    return 0


def describe_application(settings: Settings) -> Mapping[str, object]:
    """Import the application as a template does, in this process, which ends soon.

    As in a template, its code gets no rights of root where a user is configured. Raises ApplicationError, ConfigError.
    """
    from tricorn.template import application, privileges, surroundings  # noqa: PLC0415  (not needed with --no-import)

    privileges.drop(settings.identity)
    surroundings.apply(settings.environment)
    loaded = application.load(settings.application)
    return {"reference": settings.application.reference, "interface": loaded.interface.value}


check = DirectiveCommand(
    "check",
    callback=run_check,
    params=[
        *directive_parameters(),
        click.Option(
            ["--import/--no-import", "import_application"],
            default=True,
            help="Import the application too, or leave it alone. [--import]",
        ),
        click.Option(["--json", "form"], flag_value="json", help="Print one JSON object."),
        click.Option(["--toml", "form"], flag_value="toml", help="Print a tricorn.toml that says the same."),
        click.Option(["--text", "form"], flag_value="text", default="text", help="Print a table (the default)."),
    ],
    help="Check everything that can be checked without serving, and print the effective configuration with the origin"
    " of each value, and the capacity that it makes. Takes the options of `tricorn serve`.",
    epilog=EXIT_CODES,
)
