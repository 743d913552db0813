"""The types of values that directives take: how each is read from text and from TOML, and how it is written back.

A kind knows nothing of directives, origins or other values: it reads one value or raises ValueError whose text says
what is wrong with it. Kinds made of other kinds are in `compound_kinds`; those with a grammar
of their own in `addresses` and `read_timeouts`.
"""

# ruff: noqa: D102  (what the methods of a kind do is said once, in `Kind`)
from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SECOND_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Kind(ABC, Generic[T]):
    """A type of value. `from_text(to_text(value))` and `from_toml(to_toml(value))` give `value` again."""

    @property
    @abstractmethod
    def metavar(self) -> str:
        """What stands for the value in a usage line."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What may be written, as the end of the sentence "allowed is ..."."""

    @abstractmethod
    def from_text(self, text: str) -> T:
        """Read a value from the command line or the environment. Raises ValueError."""

    @abstractmethod
    def to_text(self, value: T) -> str:
        """Write `value` as `from_text` reads it."""

    def from_toml(self, value: object) -> T:
        """Read a value that a TOML parser made. Raises ValueError."""
        if isinstance(value, str):
            return self.from_text(value)
        raise ValueError("it must be written in quotes")

    def to_toml(self, value: T) -> object:
        """Write `value` as `from_toml` reads it: str, int, float, bool, list or dict."""
        return self.to_text(value)

    @property
    def repeatable(self) -> bool:
        """Whether the option may be given several times, the values adding up (see `merge`)."""
        return False

    @property
    def merges(self) -> bool:
        """Whether a source adds to the sources below it, part by part, instead of replacing their value."""
        return False

    def merge(self, upper: T, lower: T) -> T:  # noqa: ARG002  (the kinds that merge use both)
        """Join the values of two statements, of which `upper` has precedence."""
        return upper


def number_text(value: float) -> str:
    """Write a number of seconds without a needless fraction."""
    return str(int(value)) if value.is_integer() else repr(value)


@dataclass(frozen=True)
class Text(Kind[str]):
    """Any text that matches `pattern`; `rule` says in words what that is."""

    metavar: str = "TEXT"
    rule: str = "text without control characters"
    pattern: str = r"[^\x00-\x1f\x7f]*"

    @property
    def allowed(self) -> str:
        return self.rule

    def from_text(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError("it does not have the form asked for")
        return text

    def to_text(self, value: str) -> str:
        return value


@dataclass(frozen=True)
class Boolean(Kind[bool]):
    """On or off."""

    metavar: str = "on|off"
    allowed: str = "on or off (in a file: true or false)"

    def from_text(self, text: str) -> bool:
        words = {
            "on": True,
            "true": True,
            "yes": True,
            "1": True,
            "off": False,
            "false": False,
            "no": False,
            "0": False,
        }
        try:
            return words[text.lower()]
        except KeyError:
            raise ValueError("it is neither on nor off") from None

    def from_toml(self, value: object) -> bool:
        return value if isinstance(value, bool) else super().from_toml(value)

    def to_text(self, value: bool) -> str:  # noqa: FBT001  (the value is a truth value, not a switch)
        return "on" if value else "off"

    def to_toml(self, value: bool) -> object:  # noqa: FBT001
        return value


@dataclass(frozen=True)
class Choice(Kind[E]):
    """One member of an enum, by its value; `synonyms` are words that other servers use for a member."""

    members: type[E]
    synonyms: Mapping[str, E] = field(default_factory=dict)

    @property
    def metavar(self) -> str:
        return "|".join(str(member.value) for member in self.members)

    @property
    def allowed(self) -> str:
        words = ", ".join(str(member.value) for member in self.members)
        also = ", ".join(f"{word} for {member.value}" for word, member in self.synonyms.items())
        return f"one of {words}" + (f" (also {also})" if also else "")

    def from_text(self, text: str) -> E:
        word = text.lower()
        for member in self.members:
            if member.value == word:
                return member
        if word in self.synonyms:
            return self.synonyms[word]
        from difflib import get_close_matches  # noqa: PLC0415  (a parent that has nothing to refuse does not hold it)

        near = get_close_matches(word, [str(member.value) for member in self.members], n=1)
        raise ValueError("there is no such choice" + (f" (did you mean {near[0]}?)" if near else ""))

    def from_toml(self, value: object) -> E:
        if isinstance(value, bool):  # TOML's true and false read as the words of a switch
            return self.from_text("on" if value else "off")
        return super().from_toml(value)

    def to_text(self, value: E) -> str:
        return str(value.value)


@dataclass(frozen=True)
class Integer(Kind[int]):
    """A whole number in a range."""

    least: int
    most: int
    metavar: str = "N"

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def from_text(self, text: str) -> int:
        if re.fullmatch(r"[+-]?[0-9]{1,20}", text) is None:
            raise ValueError("it is not a whole number")
        return self._bounded(int(text))

    def from_toml(self, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return self._bounded(value)
        return super().from_toml(value)

    def to_text(self, value: int) -> str:
        return str(value)

    def to_toml(self, value: int) -> object:
        return value

    def _bounded(self, value: int) -> int:
        if value < self.least:
            raise ValueError("it is too small")
        if value > self.most:
            raise ValueError("it is too large")
        return value


@dataclass(frozen=True)
class Size(Kind[int]):
    """A number of bytes, written with K, M, G or T for powers of 1024."""

    least: int
    most: int
    metavar: str = "SIZE"

    @property
    def allowed(self) -> str:
        return f"a size from {self.to_text(self.least)} to {self.to_text(self.most)}, in bytes or like 64K, 10M, 1G"

    def from_text(self, text: str) -> int:
        match = re.fullmatch(r"([0-9]{1,20})([KMGT]?)", text.upper())
        if match is None:
            raise ValueError("it is not a size")
        value = int(match[1]) * SIZE_UNITS[match[2]]
        if value < self.least:
            raise ValueError("it is too small")
        if value > self.most:
            raise ValueError("it is too large")
        return value

    def from_toml(self, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return self.from_text(str(value))
        return super().from_toml(value)

    def to_text(self, value: int) -> str:
        for letter in ("T", "G", "M", "K"):
            if value and value % SIZE_UNITS[letter] == 0:
                return f"{value // SIZE_UNITS[letter]}{letter}"
        return str(value)


@dataclass(frozen=True)
class Seconds(Kind[float]):
    """A duration in seconds, to the millisecond; text may end in ms, s, m or h."""

    least: float
    most: float
    metavar: str = "SECONDS"

    @property
    def allowed(self) -> str:
        return f"a number of seconds from {number_text(self.least)} to {number_text(self.most)}, or like 500ms, 2m, 1h"

    def from_text(self, text: str) -> float:
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]*)", text.lower())
        if match is None or match[2] not in SECOND_UNITS:
            raise ValueError("it is not a duration")
        return self._bounded(float(match[1]) * SECOND_UNITS[match[2]])

    def from_toml(self, value: object) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._bounded(float(value))
        return super().from_toml(value)

    def to_text(self, value: float) -> str:
        return number_text(value)

    def to_toml(self, value: float) -> object:
        return int(value) if value.is_integer() else value

    def _bounded(self, value: float) -> float:
        if not math.isfinite(value) or value < self.least:
            raise ValueError("it is too small")
        if value > self.most:
            raise ValueError("it is too large")
        return round(value, 3)


@dataclass(frozen=True)
class Octal(Kind[int]):
    """Permission bits, always read as octal."""

    metavar: str = "OCTAL"
    allowed: str = 'octal digits from 000 to 777, in a file in quotes, like "022"'

    def from_text(self, text: str) -> int:
        if re.fullmatch(r"(0o)?[0-7]{1,4}", text) is None or int(text, 8) > 0o777:
            raise ValueError("it is not octal")
        return int(text, 8)

    def to_text(self, value: int) -> str:
        return f"{value:03o}"


@dataclass(frozen=True)
class Account(Kind["str | int"]):
    """A user or a group, by name or number; whether it exists is looked up when settings are built."""

    metavar: str = "ACCOUNT"
    allowed: str = "a name of this system or a number from 0 to 4294967294"

    def from_text(self, text: str) -> str | int:
        if re.fullmatch(r"[0-9]{1,10}", text):
            return self.from_toml(int(text))
        if re.fullmatch(r"[^\x00-\x20\x7f:,/]{1,255}", text) is None:
            raise ValueError("it is neither a name nor a number")
        return text

    def from_toml(self, value: object) -> str | int:
        if isinstance(value, int) and not isinstance(value, bool):
            if 0 <= value < (1 << 32) - 1:
                return value
            raise ValueError("it is out of range")
        return super().from_toml(value)

    def to_text(self, value: str | int) -> str:
        return str(value)

    def to_toml(self, value: str | int) -> object:
        return value
