"""The reference of all directives, for a terminal and as the page docs/reference/directives.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from tricorn.config.aliases import Verdict, aliases
from tricorn.config.directives import table
from tricorn.config.directives.shape import EVERY_MPM, Directive

HEAD = """\
# Directives

<!-- Made by `tricorn directives --markdown` from the table in src/tricorn/config/directives; do not edit by hand. -->

A directive is stated on the command line, in the environment, or in `tricorn.toml` (or under `[tool.tricorn]` in
`pyproject.toml`); where several speak, the first of these wins. [Configuring](../configure.md) explains how.
Directives that each MPM has of its own stand in a file under `[prefork]`, `[worker]` or `[event]`.
"""

FOREIGN = """\
## Options of other servers

Options of gunicorn and uvicorn that are not spellings of a directive above. "Not there yet" and "needless here" are
passed over with a warning; what is refused stops the start.
"""


def as_markdown() -> str:
    """The page."""
    return "\n".join([HEAD, *_sections(), FOREIGN, *_aliases()]).rstrip()


def as_text(width: int) -> str:
    """For a terminal: each directive in a paragraph."""
    paragraphs = []
    for directive in table():
        facts = [f"{label}: {text}" for label, text in _facts(directive)]
        body = [directive.meaning, *facts]
        paragraphs.append(
            directive.name
            + "\n"
            + "\n".join(
                textwrap.fill(line, width, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False)
                for line in body
            )
        )
    return "\n\n".join(paragraphs)


def options(directive: Directive[Any]) -> list[str]:
    """The spellings of a directive's option, each with what follows it."""
    metavar = directive.kind.metavar
    if directive.name == "app":
        return ["APP"]
    plain = [] if directive.option in directive.fixed_flags else [directive.option]
    return [
        *(f"{flag} {metavar}" for flag in (*plain, *directive.flags)),
        *(flag for flag in directive.fixed_flags),
    ]


def default_text(directive: Directive[Any]) -> str:
    """The default, for each MPM where they differ."""
    own = {mpm: directive.kind.to_text(directive.default_for(mpm)) for mpm in directive.mpms}
    if len(set(own.values())) == 1:
        return next(iter(own.values())) or "empty"
    return ", ".join(f"{mpm.value} {text}" for mpm, text in own.items())


def _facts(directive: Directive[Any]) -> Iterator[tuple[str, str]]:
    yield "Allowed", directive.kind.allowed
    yield "Default", f"{default_text(directive)}. {directive.reason}"
    yield "Options", ", ".join(options(directive))
    own = directive.variable()
    of_mpm = f" (for one MPM: {', '.join(directive.variable(mpm) for mpm in directive.mpms)})"
    more = "".join(f", {variable.name}" for variable in directive.variables)
    yield "Variables", own + (of_mpm if directive.per_mpm else "") + more
    if directive.mpms != EVERY_MPM:
        yield "MPMs", ", ".join(mpm.value for mpm in directive.mpms)
    yield "A change needs", directive.change.value
    for server, text in (
        ("Apache", directive.equivalents.apache),
        ("gunicorn", directive.equivalents.gunicorn),
        ("uvicorn", directive.equivalents.uvicorn),
    ):
        if text:
            yield server, text


def _sections() -> Iterator[str]:
    section = None
    for directive in table():
        if directive.section is not section:
            section = directive.section
            yield f"## {section.value}\n"
        yield f"### {directive.name}\n"
        yield f"{directive.meaning}\n"
        for label, text in _facts(directive):
            yield f"- {label}: {_escaped(text) if label in {'Allowed', 'Default'} else _code(label, text)}"
        yield ""


def _aliases() -> Iterator[str]:
    yield "| Option | What becomes of it | Why |"
    yield "|---|---|---|"
    for alias in aliases().values():
        verdict = "translated" if alias.verdict is Verdict.TRANSLATED else alias.verdict.value
        yield f"| `{alias.flag}` | {verdict} | {_escaped(alias.sentence)} |"


def _code(label: str, text: str) -> str:
    if label == "Options":
        return ", ".join(f"`{part}`" for part in text.split(", "))
    return _escaped(text)


def _escaped(text: str) -> str:
    for mark in "<>|*":
        text = text.replace(mark, f"\\{mark}")
    return text
