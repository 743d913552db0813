"""The options of `serve` and `check`, made from the table of directives; reading them back in the order of the table.

click splits the line and knows which options exist. What a text means is decided in `config`, so every option is a text
here and may be repeated; each spelling is an option of its own, so that messages name what was typed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from tricorn.config.commandline import CommandLine, Given, meanings, spellings
from tricorn.config.directives import table
from tricorn.config.directives.shape import EVERY_MPM, Section
from tricorn.config.reference import default_text
from tricorn.config.settings import Preload


class DirectiveCommand(click.Command):
    """A command that takes APP and the option of every directive."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the line, after giving a bare --preload (gunicorn's form) the value that it stands for."""
        words = [word.value for word in Preload]
        for index, argument in enumerate(args):
            if argument == "--":
                break
            if argument == "--preload" and (index + 1 == len(args) or args[index + 1] not in words):
                args[index] = "--preload=on"
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the command's own options, then directives by section, each with its spellings and default."""
        own = [
            record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx))
        ]
        with formatter.section("Options"):
            formatter.write_dl(own)
        for section in Section:
            rows = list(help_rows(section))
            if rows:
                with formatter.section(section.value):
                    formatter.write_dl(rows, col_max=34)


def help_rows(section: Section) -> Iterator[tuple[str, str]]:
    """The lines of --help about one section: spellings, and the first sentence with the default."""
    for directive in table():
        if directive.section is section and directive.name != "app":
            plain = [] if directive.option in directive.fixed_flags else [directive.option]
            # Short ones first, then the name of the directive, then what other servers call it; last, what takes no value.
            valued = sorted((*plain, *directive.flags), key=lambda flag: flag.startswith("--"))
            metavar = f" {directive.kind.metavar}" if valued else ""
            spelled = [", ".join(valued) + metavar] if valued else []
            first = directive.meaning.split(". ")[0].rstrip(".")
            only = "" if directive.mpms == EVERY_MPM else f"; {' and '.join(mpm.value for mpm in directive.mpms)} only"
            yield ", ".join([*spelled, *directive.fixed_flags]), f"{first}. [{default_text(directive)}{only}]"


def directive_parameters() -> list[click.Parameter]:
    """APP, --config, and an option for each spelling."""
    parameters: list[click.Parameter] = [
        click.Argument(["app"], nargs=-1, metavar="[APP]"),
        click.Option(
            ["-c", "--config", "config"],
            metavar="FILE",
            help="Read FILE instead of tricorn.toml or [tool.tricorn] in pyproject.toml. [TRICORN_CONFIG]",
        ),
    ]
    for number, spelling in enumerate(spellings().values()):
        names = [spelling.flag, destination(number)]
        if spelling.takes_value:
            parameters.append(click.Option(names, multiple=True, hidden=True))
        else:
            parameters.append(click.Option(names, is_flag=True, hidden=True))
    return parameters


def destination(number: int) -> str:
    """The name under which click hands over the option with this number."""
    return f"option_{number}"


def command_line(app: Sequence[str], config: str | None, options: dict[str, Any]) -> CommandLine:
    """What was typed, in the terms of `config`. Raises click.UsageError when more than one APP is there."""
    if len(app) > 1:
        raise click.UsageError(f'there is one application, not {len(app)}: "{app[0]}" and "{app[1]}".')
    given: list[Given] = []
    for number, spelling in enumerate(spellings().values()):
        value = options[destination(number)]
        if spelling.takes_value:
            given.extend(Given(spelling.flag, text) for text in value)
        elif value:
            given.append(Given(spelling.flag))
    known_first = sorted(given, key=lambda option: option.flag not in meanings())
    return CommandLine(app[0] if app else None, tuple(known_first), Path(config) if config else None)
