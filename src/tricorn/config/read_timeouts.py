"""How `request_read_timeout` is written: Apache's syntax of mod_reqtimeout, and tables in TOML.

`stage=initial[-maximum][,MinRate=rate]`, stages parted by white space, letters of any case. Stating a stage replaces
all three of its values; stages that are not stated keep what lower sources say. Durations may have decimals, which
Apache does not allow. What Apache refuses is refused: an unknown stage, a missing `=`, a number that is negative or
none, a rate of 0, a range without a rate, a maximum that is not above the initial time. Beyond Apache there are the
stages `response` and `keep_alive`; in the latter no bytes move, so it is a number of seconds and no more.
"""

# ruff: noqa: D102  (what the methods of a kind do is said once, in `Kind`)
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tricorn.config.kinds import Kind, number_text
from tricorn.config.settings import Rate

STAGES = ("handshake", "header", "body", "response", "keep_alive")
LONGEST = 86_400.0
HIGHEST_RATE = (1 << 31) - 1
NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,3})?"


@dataclass(frozen=True)
class ReadTimeouts(Kind[Mapping[str, Rate]]):
    """The stages that one source states, each with its rate."""

    metavar: str = '"STAGE=SECONDS[-MAXIMUM][,MinRate=BYTES] ..."'
    allowed: str = (
        "stages handshake, header, body, response, each like header=20-40,MinRate=500 (seconds, most seconds, bytes a"
        " second), 0 for no limit; stage keep_alive, like keep_alive=5 (seconds)"
    )

    @property
    def repeatable(self) -> bool:
        return True

    @property
    def merges(self) -> bool:
        return True

    def merge(self, upper: Mapping[str, Rate], lower: Mapping[str, Rate]) -> Mapping[str, Rate]:
        return {stage: (upper if stage in upper else lower)[stage] for stage in STAGES if stage in {**lower, **upper}}

    def from_text(self, text: str) -> Mapping[str, Rate]:
        rates: dict[str, Rate] = {}
        for part in text.split():
            word, equals, rest = part.partition("=")
            if not equals:
                raise ValueError(f"{part!r} has no =")
            stage = known_stage(word)
            if stage in rates:
                raise ValueError(f"the stage {stage} is stated twice")
            rates[stage] = rate_from_text(stage, rest)
        if not rates:
            raise ValueError("no stage is stated")
        return rates

    def from_toml(self, value: object) -> Mapping[str, Rate]:
        if not isinstance(value, dict):
            return super().from_toml(value)
        return {known_stage(word): rate_from_toml(known_stage(word), rest) for word, rest in value.items()}

    def to_text(self, value: Mapping[str, Rate]) -> str:
        return " ".join(f"{stage}={rate_text(rate)}" for stage, rate in value.items())

    def to_toml(self, value: Mapping[str, Rate]) -> object:
        return {stage: rate_text(rate) for stage, rate in value.items()}


def known_stage(word: str) -> str:
    """The stage that `word` names. Raises ValueError."""
    stage = word.lower()
    if stage not in STAGES:
        raise ValueError(f"{word!r} is not a stage")
    return stage


def rate_text(rate: Rate) -> str:
    """Write `rate` as Apache does."""
    most = "" if rate.maximum is None else f"-{number_text(rate.maximum)}"
    least = "" if rate.min_rate is None else f",MinRate={rate.min_rate}"
    return f"{number_text(rate.initial)}{most}{least}"


def rate_from_text(stage: str, text: str) -> Rate:
    """Read what follows `stage=`. Raises ValueError."""
    match = re.fullmatch(rf"({NUMBER})(?:-({NUMBER}))?(?:,minrate=([0-9]{{1,10}}))?", text.lower())
    if match is None:
        raise ValueError(f"{stage}={text} does not have the form SECONDS[-MAXIMUM][,MinRate=BYTES]")
    initial, maximum, rate = match.groups()
    return sensible(
        stage, float(initial), None if maximum is None else float(maximum), None if rate is None else int(rate)
    )


def rate_from_toml(stage: str, value: object) -> Rate:
    """Read one stage of a TOML table: a text, a number of seconds, or a table of three. Raises ValueError."""
    if isinstance(value, str):
        return rate_from_text(stage, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return sensible(stage, float(value), None, None)
    if not isinstance(value, dict):
        raise ValueError(f"{stage} is neither a text, a number nor a table")  # noqa: TRY004  (a wrong value)
    unknown = sorted(set(value) - {"initial", "maximum", "min_rate"})
    if unknown:
        raise ValueError(f"{stage} has no key {unknown[0]!r}; its keys are initial, maximum and min_rate")
    if "initial" not in value:
        raise ValueError(f"{stage} lacks the key initial")
    for key, number in value.items():
        wanted = int if key == "min_rate" else (int, float)
        if isinstance(number, bool) or not isinstance(number, wanted):
            raise ValueError(f"the key {key} of {stage} is not a number")  # noqa: TRY004  (a wrong value)
    maximum = value.get("maximum")
    return sensible(stage, float(value["initial"]), None if maximum is None else float(maximum), value.get("min_rate"))


def sensible(stage: str, initial: float, maximum: float | None, min_rate: int | None) -> Rate:
    """A rate out of three numbers that agree with each other. Raises ValueError."""
    if not 0 <= initial <= LONGEST or not 0 <= (maximum or 0) <= LONGEST:
        raise ValueError(f"the times of {stage} must lie between 0 and {number_text(LONGEST)} seconds")
    if min_rate is not None and not 0 < min_rate <= HIGHEST_RATE:
        raise ValueError(f"the MinRate of {stage} must lie between 1 and {HIGHEST_RATE}")
    if stage == "keep_alive":
        if maximum is not None or min_rate is not None:
            raise ValueError("keep_alive is the wait for a first byte: it has seconds, but no maximum and no MinRate")
        if initial == 0:
            raise ValueError("keep_alive=0 would wait for ever; to turn keep-alive off, set keep_alive_timeout to 0")
    if initial == 0 and (maximum is not None or min_rate is not None):
        raise ValueError(f"{stage}=0 means no limit, so a maximum or a MinRate contradicts it")
    if maximum is not None and min_rate is None:
        raise ValueError(f"{stage} has a range of times but no MinRate that would extend the first to the second")
    if maximum is not None and maximum <= initial:
        raise ValueError(f"the maximum of {stage} must be above its initial time")
    return Rate(round(initial, 3), None if maximum is None else round(maximum, 3), min_rate)
