"""From the data of `tricorn status --json` to lines for a terminal of 80 columns, and for the table of decisions.

The data comes from a server that may be of another version: what is missing is left out, what is odd is shown as a text
without control characters, and nothing here fails.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

WIDTH: Final = 80
_LABEL: Final = 10
_HEADS: Final = ("slot", "gen", "pid", "state", "taken", "conn", "requests", "age", "PSS", "USS", "threads")
_TO_THE_LEFT: Final = frozenset({"state", "threads"})
_COUNTED: Final = (
    ("turned_away", "turned away"),
    ("broken_off", "broken off"),
    ("timed_out", "timed out"),
    ("refused_by_address", "refused by address"),
)
"""What is told of a child only if it has happened."""
_LARGEST: Final = 2**63
"""Larger numbers are nonsense, and are shown as unknown."""
_RELOAD: Final = {
    "importing": "the application is being imported",
    "canary": "its first child is being tried out",
    "replacing": "old children are being replaced",
}
_NARROWEST: Final = 12
"""Characters that the last column has, at least."""


def status_text(data: Mapping[str, Any], width: int = WIDTH) -> str:
    """The whole page."""
    lines = [
        *_server(data, width),
        *_labelled("capacity", _capacity(_table(data, "capacity")), width),
        *_labelled("memory", _memory(_table(data, "memory")), width),
        *_labelled("clients", _holding(_table(data, "holding")), width),
        *_labelled("reload", _reload(_table(data, "reload")), width),
        *_labelled("so far", _totals(_table(data, "totals")), width),
    ]
    children = [child for child in _list(data, "children") if isinstance(child, Mapping)]
    if children:
        lines += ["", *_children(children, width)]
    if left_out := _number(data.get("children_left_out")):
        lines.append(f"and {left_out} more children")
    return "\n".join(lines)


def decisions_text(decisions: Sequence[Any], width: int = WIDTH) -> str:
    """The last decisions, newest last: when, what, and why."""
    lines: list[str] = []
    for decision in decisions:
        if isinstance(decision, Mapping):
            at, what, reason = (plain(decision.get(key, "")) for key in ("at", "what", "reason"))
            text = f"{at}  {what}: {reason}" if reason else f"{at}  {what}"
            lines += textwrap.wrap(text, max(width, 40), subsequent_indent="    ") or [""]
    return "\n".join(lines) if lines else "Nothing was decided yet."


def _server(data: Mapping[str, Any], width: int) -> list[str]:
    what = f"tricorn {plain(data.get('version', '?'))}, pid {plain(data.get('pid', '?'))}"
    life = f"{plain(data.get('phase', '?'))} for {duration(data.get('uptime'))}"
    lines = [f"{what}: {life}, generation {plain(data.get('generation', '?'))}, {plain(data.get('mpm', '?'))} MPM"]
    addresses = ", ".join(plain(address) for address in _list(data, "addresses")) or "nowhere"
    return lines + _labelled("serves", [f"{plain(data.get('application', '?'))} on {addresses}"], width)


def _capacity(data: Mapping[str, Any]) -> list[str]:
    if not data:
        return []
    unit = _number(data.get("unit")) or 1
    threads = unit != 1
    units = "threads" if threads else "processes"
    children, target = _number(data.get("children")), _number(data.get("target"))
    count = f"{children} {'child' if children == 1 else 'children'}"
    if threads:
        count += f" of {unit} threads"
    if data.get("fixed"):
        count += " (fixed)"
    else:
        wanted = f", {target} wanted" if target != children else ""
        count += f" ({_number(data.get('least'))} to {_number(data.get('most'))} allowed{wanted})"
    parts = [count, f"{_number(data.get('taken'))} of {_number(data.get('units'))} {units} taken"]
    idle = f"{_number(data.get('idle'))} idle"
    if not data.get("fixed"):
        idle += f" (band {_number(data.get('min_spare'))} to {_number(data.get('max_spare'))})"
    return [*parts, idle, f"at most {_number(data.get('max_request_workers'))}"]


def _memory(data: Mapping[str, Any]) -> list[str]:
    parts = []
    limit = "no limit" if data.get("limit") is None else f"of {size(data.get('limit'))} allowed"
    if data.get("used") is not None:
        parts.append(f"{size(data.get('used'))} used, {limit}")
    elif data.get("limit") is not None:
        parts.append(f"not measured yet, {limit}")
    if data.get("pss") is not None:
        parts.append(f"PSS {size(data.get('pss'))}, RSS {size(data.get('rss'))}")
    if data.get("saved") is not None:
        parts.append(f"sharing saves {size(data.get('saved'))}")
    if data.get("child") is not None:
        parts.append(f"one more child takes {size(data.get('child'))}")
    return parts


def _holding(data: Mapping[str, Any]) -> list[str]:
    """What is held for clients, if anything is."""
    memory, spooled = _number(data.get("held_memory")), _number(data.get("spooled"))
    if not memory and not spooled:
        return []
    return [f"bodies and answers held: {size(memory)} in memory", f"{size(spooled)} in temporary files"]


def _reload(data: Mapping[str, Any]) -> list[str]:
    if not data:
        return []
    generation, since = plain(data.get("generation", "?")), duration(data.get("since"))
    state = plain(data.get("state", "?"))
    return [f"to generation {generation}, for {since}: {_RELOAD.get(state, state)}"]


def _totals(data: Mapping[str, Any]) -> list[str]:
    if not data:
        return []
    parts = [f"{_number(data.get('requests')):,} requests", f"{_number(data.get('accepted')):,} connections"]
    exits = _table(data, "exits")
    if exits:
        named = ", ".join(f"{plain(reason)} ({_number(count)})" for reason, count in list(exits.items())[:12])
        parts.append(f"children that ended: {named}")
    return parts


def _children(children: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """The table: columns as wide as what is in them, the last one with what is left of the line."""
    rows = [_HEADS, *(_cells(child) for child in children)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS) - 1)]
    rest = max(_NARROWEST, width - sum(widths) - len(widths))
    lines = []
    for *cells, last in rows:
        shown = [
            cell.ljust(space) if head in _TO_THE_LEFT else cell.rjust(space)
            for cell, space, head in zip(cells, widths, _HEADS, strict=False)
        ]
        first, *more = textwrap.wrap(last, rest) or [""]
        lines.append(" ".join([*shown, first]).rstrip())
        lines += [" " * (sum(widths) + len(widths)) + line for line in more]
    return lines


def _cells(child: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        plain(child.get("slot", "?")),
        plain(child.get("generation", "?")),
        plain(child.get("pid") or "-"),
        plain(child.get("state", "?")),
        f"{_number(child.get('taken'))}/{_number(child.get('units'))}",
        count(child.get("connections")),
        count(child.get("requests")),
        duration(child.get("age")),
        size(child.get("pss"), short=True),
        size(child.get("uss"), short=True),
        _doing(child),
    )


def _doing(child: Mapping[str, Any]) -> str:
    """What the threads do; how many are idle goes without saying where others are not."""
    stages = _table(child, "stages")
    known = sorted((stage for stage in stages if stage != "idle"), key=lambda stage: (-_number(stages[stage]), stage))
    doing = [f"{_number(stages[stage])} {plain(stage)}" for stage in known]
    if queued := _number(child.get("queued")):
        doing.insert(0, f"{queued} queued")
    for key, word in _COUNTED:
        if times := _number(child.get(key)):
            doing.append(f"{times} {word}")
    if held := _number(child.get("held_memory")) + _number(child.get("spooled")):
        doing.append(f"{size(held, short=True)} held")
    return ", ".join(doing) or ("idle" if "idle" in stages else "")


def _labelled(label: str, parts: Sequence[str], width: int) -> list[str]:
    """A label and what belongs to it, broken between the parts where that is possible."""
    lines: list[str] = []
    line = ""
    for part in parts:
        joined = f"{line}; {part}" if line else part
        if line and len(joined) + _LABEL > width:
            lines.append(line + ";")
            joined = part
        line = joined
    if line:
        lines.append(line)
    wrapped = [piece for text in lines for piece in textwrap.wrap(text, max(20, width - _LABEL))]
    return [(label if number == 0 else "").ljust(_LABEL) + text for number, text in enumerate(wrapped)]


def size(value: object, *, short: bool = False) -> str:
    """Bytes for people: 31.2 MiB, or 31.2M in a narrow column."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _LARGEST:
        return "-" if short else "?"
    number, letters = float(value), " KMGT"
    place = 0
    while abs(number) >= 1000 and place < len(letters) - 1:
        number, place = number / 1024, place + 1
    digits = f"{number:.1f}" if place and number < 100 else f"{number:.0f}"
    if short:
        return digits + letters[place].strip()
    return f"{digits} {letters[place].strip()}{'iB' if place else 'bytes'}"


def duration(value: object) -> str:
    """Seconds for people, in two parts at most: 12s, 3m20s, 2h5m, 4d6h."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        return "?"
    seconds = int(value)
    if seconds < 60:
        return f"{seconds}s"
    for name, length, below, part in (("m", 60, 3600, "s"), ("h", 3600, 86400, "m")):
        if seconds < below:
            rest = seconds % length // {"s": 1, "m": 60}[part]
            return f"{seconds // length}{name}" + (f"{rest}{part}" if rest else "")
    hours = seconds % 86400 // 3600
    return f"{seconds // 86400}d" + (f"{hours}h" if hours and seconds < 100 * 86400 else "")


def count(value: object) -> str:
    """A number for a narrow column: 12345, 1.2M."""
    number = _number(value)
    for letter, least in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if number >= least:
            return f"{number / least:.1f}{letter}"
    return str(number)


def plain(value: object) -> str:
    """A value as one line of text that no terminal takes for an order."""
    text = str(value)[:400]
    return "".join(character if character.isprintable() else "?" for character in text)


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST else 0


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(data: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = data.get(key)
    return value if isinstance(value, list | tuple) else []
