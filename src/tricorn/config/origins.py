"""Where values come from, and what each source states: the words shared by all readers of sources.

The readers are `commandline`, `environment` and `file`; `resolve` joins what they state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tricorn.config.directives.shape import Directive
from tricorn.config.settings import Mpm
from tricorn.config.toml_text import toml


class Source(Enum):
    """The sources, in order of precedence."""

    COMMAND_LINE = "command line"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True)
class Origin:
    """Who said something: an option, a variable, or a line of a file."""

    source: Source
    name: str = ""
    """The option as spelled, the variable, or the path of the file."""
    line: int | None = None

    def __str__(self) -> str:
        if self.source is Source.COMMAND_LINE:
            return f"option {self.name}" if self.name.startswith("-") else f"argument {self.name}"
        if self.source is Source.ENVIRONMENT:
            return f"environment variable {self.name}"
        if self.source is Source.FILE:
            return self.name if self.line is None else f"{self.name} line {self.line}"
        return "default"


DEFAULT = Origin(Source.DEFAULT)


@dataclass(frozen=True)
class Stated:
    """A value and all who had a part in it, the strongest first."""

    value: Any
    origins: tuple[Origin, ...]

    @property
    def is_default(self) -> bool:
        """Whether nobody said anything."""
        return self.origins == (DEFAULT,)

    def __str__(self) -> str:
        return ", ".join(str(origin) for origin in self.origins)


@dataclass
class Layer:
    """What one source states, values already read; and what is wrong or worth telling about it."""

    stated: dict[str, Stated] = field(default_factory=dict)
    """By directive. Values of directives that each MPM has of its own are meant for the selected MPM."""
    of_mpm: dict[Mpm, dict[str, Stated]] = field(default_factory=dict)
    """By MPM and directive: values that were stated for that MPM by name."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def get(self, directive: Directive[Any], mpm: Mpm, selected: Mpm) -> Stated | None:
        """What is stated about `directive` of `mpm` when `selected` is selected."""
        own = self.of_mpm.get(mpm, {}).get(directive.name)
        return self.stated.get(directive.name) if own is None and mpm is selected else own

    def add(self, directive: Directive[Any], text: str, origin: Origin, mpm: Mpm | None = None) -> None:
        """State `directive` by a text, or note the problem with it; a repeatable directive adds up."""
        try:
            value = directive.kind.from_text(text)
        except ValueError as error:
            self.problems.append(refusal(origin, directive, text, error))
            return
        place = self.stated if mpm is None else self.of_mpm.setdefault(mpm, {})
        before = place.get(directive.name)
        if before is None:
            place[directive.name] = Stated(value, (origin,))
        elif directive.kind.merges:
            place[directive.name] = Stated(
                directive.kind.merge(value, before.value), tuple(dict.fromkeys((*before.origins, origin)))
            )
        elif directive.kind.repeatable:
            place[directive.name] = Stated((*before.value, *value), tuple(dict.fromkeys((*before.origins, origin))))
        elif before.origins == (origin,) or before.value == value:
            place[directive.name] = Stated(value, (origin,))  # the last one of the same option wins
        else:
            self.problems.append(
                f"{before} and {origin} both decide {directive.name}, as {shown(directive, before.value)} and as"
                f" {shown(directive, value)}: keep one of them."
            )


def shown(directive: Directive[Any], value: object) -> str:
    """The text of a value for people."""
    text = directive.kind.to_text(value)
    return text.replace("\n", ", ") if text else '""'


def refusal(origin: Origin, directive: Directive[Any], value: object, error: ValueError, key: str = "") -> str:
    """The sentence about a value that cannot be read: where, what, why, and what is allowed."""
    written = value if isinstance(value, str) else toml(value)
    name = key or directive.name
    return f'{origin}: {name} cannot be "{escaped(written)}": {error}. Allowed is {directive.kind.allowed}.'


def escaped(text: str) -> str:
    """`text` with what would confuse a terminal made visible, and no longer than a line or two."""
    visible = "".join(
        char if char.isprintable() else char.encode("unicode_escape", "replace").decode() for char in text
    )
    return visible if len(visible) <= 200 else visible[:200] + "..."
