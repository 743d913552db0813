"""The command `tricorn`: from the words of a command line to settings and to an exit code.

`entry` finds the command, `options` makes the options out of the table of directives, and each command has a module.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line of this process and exit with its code."""
    from tricorn.cli.entry import run  # noqa: PLC0415  (importing the package must cost nothing)

    run()
