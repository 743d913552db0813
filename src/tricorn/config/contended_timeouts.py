"""How `contended_timeout` is written: `stage=seconds`, stages parted by white space, and tables in TOML.

As in `request_read_timeout`, stages that are not stated keep what lower sources say. The rates are those of
`request_read_timeout`, so here a stage is a number of seconds and no more.
"""

# ruff: noqa: D102  (what the methods of a kind do is said once, in `Kind`)
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tricorn.config.kinds import Kind, number_text
from tricorn.config.read_timeouts import LONGEST, NUMBER

CONTENDED_STAGES = ("header", "body", "response")


@dataclass(frozen=True)
class ContendedTimeouts(Kind[Mapping[str, float]]):
    """The stages that one source states, each with its seconds."""

    metavar: str = '"STAGE=SECONDS ..."'
    allowed: str = "stages header, body, response, each like header=0.5 (seconds), 0 for no other time than usual"

    @property
    def repeatable(self) -> bool:
        return True

    @property
    def merges(self) -> bool:
        return True

    def merge(self, upper: Mapping[str, float], lower: Mapping[str, float]) -> Mapping[str, float]:
        both = {**lower, **upper}
        return {stage: both[stage] for stage in CONTENDED_STAGES if stage in both}

    def from_text(self, text: str) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for part in text.split():
            word, equals, rest = part.partition("=")
            if not equals:
                raise ValueError(f"{part!r} has no =")
            stage = _known(word)
            if stage in found:
                raise ValueError(f"the stage {stage} is stated twice")
            if re.fullmatch(NUMBER, rest) is None:
                raise ValueError(
                    f"{part} does not have the form STAGE=SECONDS; the rate is that of request_read_timeout"
                )
            found[stage] = _sensible(stage, float(rest))
        if not found:
            raise ValueError("no stage is stated")
        return found

    def from_toml(self, value: object) -> Mapping[str, float]:
        if not isinstance(value, dict):
            return super().from_toml(value)
        found = {}
        for word, seconds in value.items():
            stage = _known(word)
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
                raise ValueError(f"{stage} is not a number of seconds")  # noqa: TRY004  (a wrong value)
            found[stage] = _sensible(stage, float(seconds))
        return found

    def to_text(self, value: Mapping[str, float]) -> str:
        return " ".join(f"{stage}={number_text(seconds)}" for stage, seconds in value.items())

    def to_toml(self, value: Mapping[str, float]) -> object:
        return dict(value)


def _known(word: str) -> str:
    stage = word.lower()
    if stage not in CONTENDED_STAGES:
        raise ValueError(f"{word!r} is not a stage that clients can be behind in")
    return stage


def _sensible(stage: str, seconds: float) -> float:
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"the time of {stage} must lie between 0 and {number_text(LONGEST)} seconds")
    return round(seconds, 3)
