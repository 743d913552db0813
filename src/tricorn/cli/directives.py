"""`tricorn directives`: the reference of all directives, in a terminal or as the page of the documentation."""

from __future__ import annotations

import shutil

import click

from tricorn.config import reference


@click.command
@click.option("--markdown", is_flag=True, help="Print the page docs/reference/directives.md.")
def directives(markdown: bool) -> None:  # noqa: FBT001  (click passes by name)
    """Print the reference of all directives."""
    click.echo(reference.as_markdown() if markdown else reference.as_text(min(shutil.get_terminal_size().columns, 100)))
