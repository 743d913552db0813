"""Types of values made of other types: a word beside a kind, several values of one kind, variables of an environment."""
# ruff: noqa: D102  (what the methods of a kind do is said once, in `Kind`)

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from tricorn.config.kinds import Kind

T = TypeVar("T")
W = TypeVar("W")


@dataclass(frozen=True)
class Pair(Kind["tuple[str, str]"]):
    """A variable for the application's environment."""

    metavar: str = "NAME=VALUE"
    allowed: str = "NAME=VALUE (in a file: a table of names and texts)"

    def from_text(self, text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError("it is not NAME=VALUE")
        if "\0" in text:
            raise ValueError("it holds a NUL character")
        return name, value

    def to_text(self, value: tuple[str, str]) -> str:
        return "=".join(value)


@dataclass(frozen=True)
class OrWord(Kind[T | W], Generic[T, W]):
    """What `kind` takes, or one `word` that stands for `meaning` (like auto, off, none, unlimited)."""

    kind: Kind[T]
    word: str
    meaning: W

    @property
    def metavar(self) -> str:
        return f"{self.kind.metavar}|{self.word}"

    @property
    def allowed(self) -> str:
        return f"{self.kind.allowed}; or {self.word}"

    def from_text(self, text: str) -> T | W:
        return self.meaning if text.lower() == self.word else self.kind.from_text(text)

    def from_toml(self, value: object) -> T | W:
        if value == self.word or (value is False and self.word in {"off", "none"}):
            return self.meaning
        return self.kind.from_toml(value)

    def to_text(self, value: T | W) -> str:
        return self.word if value == self.meaning else self.kind.to_text(cast("T", value))

    def to_toml(self, value: T | W) -> object:
        return self.word if value == self.meaning else self.kind.to_toml(cast("T", value))


@dataclass(frozen=True)
class Many(Kind["tuple[T, ...]"], Generic[T]):
    """Several values of one kind: the option repeated, a TOML array, or text parted by `separator`."""

    kind: Kind[T]
    separator: str
    least: int = 0

    @property
    def metavar(self) -> str:
        return self.kind.metavar

    @property
    def allowed(self) -> str:
        between = {",": "commas", "\n": "line ends"}[self.separator]
        return f"{self.kind.allowed}; several are parted by {between}, or are an array in a file"

    @property
    def repeatable(self) -> bool:
        return True

    def from_text(self, text: str) -> tuple[T, ...]:
        return self._enough([self.kind.from_text(part.strip()) for part in text.split(self.separator) if part.strip()])

    def from_toml(self, value: object) -> tuple[T, ...]:
        if isinstance(value, list):
            return self._enough([self.kind.from_toml(item) for item in value])
        return self._enough([self.kind.from_toml(value)])

    def to_text(self, value: tuple[T, ...]) -> str:
        return self.separator.join(self.kind.to_text(item) for item in value)

    def to_toml(self, value: tuple[T, ...]) -> object:
        return [self.kind.to_toml(item) for item in value]

    def _enough(self, values: list[T]) -> tuple[T, ...]:
        if len(values) < self.least:
            raise ValueError("there is none")
        return tuple(values)


@dataclass(frozen=True)
class Variables(Many["tuple[str, str]"]):
    """Variables for the application: each source adds its own to those of the sources below it."""

    kind: Kind[tuple[str, str]] = field(default_factory=Pair)
    separator: str = "\n"

    @property
    def merges(self) -> bool:
        return True

    def from_text(self, text: str) -> tuple[tuple[str, str], ...]:
        return tuple(self.kind.from_text(line) for line in text.split("\n") if line)

    def merge(
        self, upper: tuple[tuple[str, str], ...], lower: tuple[tuple[str, str], ...]
    ) -> tuple[tuple[str, str], ...]:
        return tuple((dict(lower) | dict(upper)).items())

    def from_toml(self, value: object) -> tuple[tuple[str, str], ...]:
        if not isinstance(value, dict):
            return super().from_toml(value)
        pairs = []
        for name, text in value.items():
            if not isinstance(text, str):
                raise ValueError(f"the value of {name} must be written in quotes")  # noqa: TRY004  (a wrong value)
            pairs.append(self.kind.from_text(f"{name}={text}"))
        return tuple(pairs)

    def to_toml(self, value: tuple[tuple[str, str], ...]) -> object:
        return dict(value)
