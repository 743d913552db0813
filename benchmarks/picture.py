"""Charts over time as SVG, drawn by hand: panels below each other that share their seconds. No figures of a server here.

An SVG is text, so a picture in the repository can be read, compared and rendered anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 960
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 64, 48
GAP = 34
INK, PALE, GRID = "#24292f", "#57606a", "#e4e7eb"
FONT = "font-family=\"-apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif\""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Series:
    """One curve. `stepped` holds each value until the next point; `filled` colours what is below."""

    label: str
    points: Points
    colour: str
    width: float = 1.8
    stepped: bool = False
    filled: bool = False
    dashes: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A line across a panel, named at its right end."""

    label: str
    value: float
    colour: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A coloured band across a panel; the levels at its edges name it."""

    low: float
    high: float
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: what its vertical axis counts, and what is drawn on it, the first thing at the bottom."""

    axis: str
    height: int
    series: tuple[Series, ...]
    levels: tuple[Level, ...] = ()
    zone: Zone | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of time with a name, written above the first panel."""

    label: str
    start: float
    end: float


def draw(title: str, subtitle: str, panels: Sequence[Panel], parts: Sequence[Part], seconds: float) -> str:
    """The whole picture."""
    height = TOP + sum(panel.height for panel in panels) + GAP * (len(panels) - 1) + BOTTOM
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {FONT} font-size="12" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="16" font-weight="600">{escape(title)}</text>',
        f'<text x="{LEFT}" y="40" fill="{PALE}">{escape(subtitle)}</text>',
    ]
    top = TOP
    for panel in panels:
        lines += _panel(panel, top, seconds, parts, names=panel is panels[0])
        top += panel.height + GAP
    lines += _seconds(top - GAP, seconds)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _x(second: float, seconds: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * second / seconds


def _panel(panel: Panel, top: int, seconds: float, parts: Sequence[Part], *, names: bool) -> Iterator[str]:
    highest = max(
        *(value for series in panel.series for _, value in series.points), *(level.value for level in panel.levels), 1
    )
    step = _step(highest / 5)
    scale = panel.height / (highest * 1.06)

    def y(value: float) -> float:
        return top + panel.height - value * scale

    right = WIDTH - RIGHT
    for number in range(int(highest / step) + 1):
        at = y(number * step)
        yield f'<line x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="{GRID}"/>'
        yield f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="{PALE}">{_number(number * step)}</text>'
    middle = top + panel.height / 2
    yield (
        f'<text x="18" y="{middle:.1f}" text-anchor="middle" fill="{PALE}" '
        f'transform="rotate(-90 18 {middle:.1f})">{escape(panel.axis)}</text>'
    )
    for part in parts:
        at = _x(part.start, seconds)
        if part.start > 0:
            yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + panel.height}" stroke="#c9d1d9"/>'
        if names:
            yield f'<text x="{at + 4:.1f}" y="{top - 6}" fill="{PALE}" font-size="11">{escape(part.label)}</text>'
    if panel.zone is not None:
        low, high = y(panel.zone.low), y(panel.zone.high)
        yield (
            f'<rect x="{LEFT}" y="{high:.1f}" width="{right - LEFT}" height="{low - high:.1f}" '
            f'fill="{panel.zone.colour}"/>'
        )
    for series in panel.series:
        yield from _curve(series, seconds, y)
    labels = [(y(level.value), level.label, level.colour) for level in panel.levels]
    for level in panel.levels:
        at = y(level.value)
        yield (
            f'<line x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="{level.colour}" '
            f'stroke-dasharray="6 4" stroke-width="1.2"/>'
        )
    yield from _legend(panel, labels, top, right)


def _curve(series: Series, seconds: float, height: Callable[[float], float]) -> Iterator[str]:
    corners: list[str] = []
    previous: float | None = None
    for index, (second, value) in enumerate(series.points):
        at, level = _x(second, seconds), height(value)
        # A point between two of its own height adds nothing.
        following = series.points[index + 1][1] if index + 1 < len(series.points) else None
        if previous == value == following:
            continue
        if series.stepped and previous is not None and corners:
            corners.append(f"{at:.1f},{height(previous):.1f}")
        corners.append(f"{at:.1f},{level:.1f}")
        previous = value
    if not corners:
        return
    if series.filled:
        first, last = corners[0].split(",")[0], corners[-1].split(",")[0]
        ground = f"{height(0):.1f}"
        outline = " ".join([f"{first},{ground}", *corners, f"{last},{ground}"])
        yield f'<polygon points="{outline}" fill="{series.colour}" fill-opacity="0.25"/>'
    dashes = f' stroke-dasharray="{series.dashes}"' if series.dashes else ""
    yield (
        f'<polyline points="{" ".join(corners)}" fill="none" stroke="{series.colour}" '
        f'stroke-width="{series.width}" stroke-linejoin="round"{dashes}/>'
    )


def _legend(panel: Panel, labels: Sequence[tuple[float, str, str]], top: int, right: int) -> Iterator[str]:
    """The names of the levels at their heights, and the names of the curves where there is room for them."""
    used: list[float] = []
    for at, label, colour in sorted(labels, reverse=True):
        place = at + 4
        while any(abs(place - other) < 14 for other in used):
            place -= 14
        used.append(place)
        yield f'<text x="{right + 8}" y="{place:.1f}" fill="{colour}">{escape(label)}</text>'
    place = float(top + 10)
    for series in panel.series:
        while any(abs(place - other) < 15 for other in used):
            place += 15
        used.append(place)
        dashes = f' stroke-dasharray="{series.dashes}"' if series.dashes else ""
        yield (
            f'<line x1="{right + 8}" x2="{right + 28}" y1="{place - 4:.1f}" y2="{place - 4:.1f}" '
            f'stroke="{series.colour}" stroke-width="3"{dashes}/>'
        )
        yield f'<text x="{right + 34}" y="{place:.1f}">{escape(series.label)}</text>'


def _seconds(bottom: int, seconds: float) -> Iterator[str]:
    step = _step(seconds / 10)
    for number in range(int(seconds / step) + 1):
        at = _x(number * step, seconds)
        yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 4}" stroke="{PALE}"/>'
        yield (
            f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle" fill="{PALE}">{_number(number * step)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:.1f}" y="{bottom + 36}" text-anchor="middle" fill="{PALE}">seconds</text>'


def _step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ... from `least` on."""
    size = 1.0
    while True:
        for factor in (1, 2, 5):
            if size * factor >= least:
                return size * factor
        size *= 10


def _number(value: float) -> str:
    return f"{value:g}"
