"""Finding the command: `tricorn serve APP`, `tricorn APP` (the same), `tricorn check APP`, and those for a running server.

Exit codes, also in docs/configure.md and docs/control.md: 0 done, 1 an error that nobody foresaw, 2 configuration,
3 application, 4 listening, 5 starting, 6 no server answers, 7 too late. They belong to the subclasses of
`tricorn.errors.TricornError`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from tricorn.cli.exit_codes import EXIT_CODES
from tricorn.errors import ApplicationError, ConfigError, TricornError
from tricorn.version import installed_version

COMMANDS = {
    "serve": "Serve an application until told to stop.",
    "check": "Check configuration and application, and print what is in force.",
    "directives": "Print the reference of all directives.",
    "status": "Tell what the running server is doing.",
    "reload": "Read configuration and application anew, without losing a request.",
    "stop": "Stop the running server and wait until it is gone.",
    "upgrade": "Have a new build of the server take over.",
    "reopen-logs": "Open the log files anew, after a rotation.",
    "resize": "Change the limit of the running server.",
    "retire": "Replace one child.",
    "why": "Tell the last decisions of the running server, with their reasons.",
}
OWN_WORDS = ("-h", "--help", "--version", "-v")
OTHER_NAMES = {
    "run": "serve",
    "start": "serve",
    "configtest": "check",
    "graceful": "reload",
    "restart": "reload",
    "kill": "stop",
    "quit": "stop",
    "shutdown": "stop",
    "rotate": "reopen-logs",
    "help": "--help",
    "version": "--version",
}
"""What commands are called elsewhere."""


def print_version(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  (click's shape)
    """Answer --version."""
    if value:
        click.echo(f"tricorn {installed_version()}")
        context.exit()


class Commands(click.Group):
    """The commands, each loaded from the module of its name when it is used: --help must not wait for all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"tricorn.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"`tricorn APP` is short for `tricorn serve APP`; `tricorn serve --help` lists all options. {EXIT_CODES}"
    " `tricorn status --help` tells those of the commands for a running server.",
)
@click.option("-v", "--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version,
              help="Print the version.")  # fmt: skip
def tricorn() -> None:
    """Serve Python web applications with Apache's multi-processing modules: prefork, worker, event."""


def with_command(words: Sequence[str]) -> list[str]:
    """The words with the command that is meant where none is named: a line that begins otherwise means `serve`."""
    if not words or words[0] in COMMANDS or words[0] in OWN_WORDS:
        return list(words)
    return ["serve", *words]


def meant_command(words: Sequence[str]) -> str | None:
    """The command that may be meant by a line whose first word was taken for an application; None if none is near."""
    if not words or words[0] in COMMANDS or words[0].startswith("-"):
        return None
    from tricorn.config.names import nearest  # noqa: PLC0415  (for a line that has failed only)

    return OTHER_NAMES.get(words[0]) or nearest(words[0], COMMANDS)


def run(words: Sequence[str] | None = None) -> None:
    """Run a command line and exit with its code."""
    words = sys.argv[1:] if words is None else words
    if not words:
        click.echo(tricorn.get_help(click.Context(tricorn, info_name="tricorn")), err=True)
        sys.exit(ConfigError.exit_code)  # nothing was asked for, and nothing was done: not 0
    code = call(words)
    meant = meant_command(words) if code in (ConfigError.exit_code, ApplicationError.exit_code) else None
    if meant is not None:
        click.echo(f"tricorn: there is no command {words[0]}, so it was taken for an application;"
                   f" did you mean: tricorn {meant}", err=True)  # fmt: skip
    sys.exit(code)


def call(words: Sequence[str]) -> int:
    """Run a command line; tell what went wrong; returns the exit code."""
    try:
        code = tricorn.main(args=with_command(words), prog_name="tricorn", standalone_mode=False)
    except TricornError as error:
        # Every line of a ConfigError is a problem of its own; other texts may go on with a traceback.
        problems = str(error).splitlines() if isinstance(error, ConfigError) else [str(error)]
        for problem in problems:
            click.echo(f"tricorn: error: {problem}", err=True)
        return error.exit_code
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        click.echo(f"tricorn: error: {error.format_message()}", err=True)
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(f"`{error.ctx.command_path} --help` lists the options.", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130  # as a shell says it of a program that was interrupted
    except OSError as error:
        if not is_about_output(error, words):
            raise
        # What is buffered would be tried again, and complained about, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"tricorn: error: the output cannot be written: {error.strerror}", err=True)
        return TricornError.exit_code
    return code if isinstance(code, int) else 0


def is_about_output(error: OSError, words: Sequence[str]) -> bool:
    """Whether it is standard output that has failed: everybody but a server only prints, and files have names."""
    serves = with_command(words)[0] == "serve" and not {"-h", "--help"} & set(words)
    return not serves and error.filename is None and sys.stdout is not None
