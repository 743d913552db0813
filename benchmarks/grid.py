"""A table as a picture: rows, columns, coloured cells with lines of text, as SVG by hand. No figures of a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.picture import FONT, INK, PALE

NAMES, CELL_WIDTH, CELL_HEIGHT = 210, 128, 62
TOP, EDGE = 104, 16
LEAST_WIDTH = 760
"""Room for the subtitle."""
LINE = 16
HEAD_CHARACTERS = 15
"""A heading longer than this goes to a second line."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell says: the first line is the large one."""

    lines: tuple[str, ...]
    colour: str


def draw(title: str, subtitle: str, columns: Sequence[str], rows: Mapping[str, Sequence[Cell | None]]) -> str:
    """The whole picture. A cell of None was not measured."""
    width = max(LEAST_WIDTH, EDGE * 2 + NAMES + CELL_WIDTH * len(columns))
    height = TOP + CELL_HEIGHT * len(rows) + EDGE
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {FONT} font-size="12" fill="{INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{EDGE}" y="24" font-size="16" font-weight="600">{escape(title)}</text>',
        f'<text x="{EDGE}" y="44" fill="{PALE}">{escape(subtitle)}</text>',
    ]
    for number, column in enumerate(columns):
        middle = EDGE + NAMES + CELL_WIDTH * (number + 0.5)
        for index, part in enumerate(_halves(column)):
            lines.append(
                f'<text x="{middle:g}" y="{TOP - 26 + index * LINE}" text-anchor="middle" '
                f'font-weight="600">{escape(part)}</text>'
            )
    for number, (name, cells) in enumerate(rows.items()):
        top = TOP + CELL_HEIGHT * number
        lines.append(f'<text x="{EDGE}" y="{top + CELL_HEIGHT / 2 + 4:g}">{escape(name)}</text>')
        for index, cell in enumerate(cells):
            lines += _cell(cell, EDGE + NAMES + CELL_WIDTH * index, top)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _cell(cell: Cell | None, left: int, top: int) -> Iterator[str]:
    colour = "#f6f8fa" if cell is None else cell.colour
    yield (
        f'<rect x="{left + 2}" y="{top + 2}" width="{CELL_WIDTH - 4}" height="{CELL_HEIGHT - 4}" rx="4" '
        f'fill="{colour}"/>'
    )
    if cell is None:
        return
    middle = left + CELL_WIDTH / 2
    first = top + CELL_HEIGHT / 2 + 5 - LINE * (len(cell.lines) - 1) / 2
    for number, line in enumerate(cell.lines):
        style = 'font-weight="600" font-size="14"' if number == 0 else 'font-size="11"'
        yield (f'<text x="{middle:g}" y="{first + number * LINE:g}" text-anchor="middle" {style}>{escape(line)}</text>')


def _halves(text: str) -> tuple[str, ...]:
    """One line, or two that break at the space nearest to the middle."""
    if len(text) <= HEAD_CHARACTERS or " " not in text:
        return (text,)
    spaces = [index for index, character in enumerate(text) if character == " "]
    middle = min(spaces, key=lambda index: abs(index - len(text) / 2))
    return text[:middle], text[middle + 1 :]
