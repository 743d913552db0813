"""The type of values that are a number of bytes or a share of the memory that the server may use."""
# ruff: noqa: D102  (what the methods of a kind do is said once, in `Kind`)

from __future__ import annotations

import re
from dataclasses import dataclass

from tricorn.config.kinds import Kind, Size


@dataclass(frozen=True, slots=True)
class Share:
    """Whole hundredths of what there is."""

    percent: int

    def of(self, whole: int) -> int:
        """The share of `whole`, rounded down."""
        return whole * self.percent // 100


@dataclass(frozen=True)
class SizeOrShare(Kind["int | Share"]):
    """A size, or a percentage from 1% to 100%."""

    size: Size

    @property
    def metavar(self) -> str:
        return f"{self.size.metavar}|PERCENT%"

    @property
    def allowed(self) -> str:
        return f"{self.size.allowed}; or a share from 1% to 100%"

    def from_text(self, text: str) -> int | Share:
        if not text.endswith("%"):
            return self.size.from_text(text)
        if re.fullmatch(r"[0-9]{1,9}%", text) is None:
            raise ValueError("it is not a whole number of hundredths")
        percent = int(text.removesuffix("%"))
        if percent < 1:
            raise ValueError("it is too small")
        if percent > 100:
            raise ValueError("it is too large")
        return Share(percent)

    def from_toml(self, value: object) -> int | Share:
        return super().from_toml(value) if isinstance(value, str) else self.size.from_toml(value)

    def to_text(self, value: int | Share) -> str:
        return f"{value.percent}%" if isinstance(value, Share) else self.size.to_text(value)
