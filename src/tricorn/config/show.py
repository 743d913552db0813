"""The effective configuration for people, for programs (JSON) and as a file that says the same (TOML)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tricorn.config.capacity import SPARE, STATED, Number, Sizes, asked_of, sizes
from tricorn.config.configuration import Configuration
from tricorn.config.directives import by_name, capacity, lifecycle, requests, table
from tricorn.config.origins import Stated, shown
from tricorn.config.settings import Mpm
from tricorn.config.toml_text import toml


def as_text(configuration: Configuration) -> str:
    """A table of name, value and origin; what is configured for MPMs that are not selected; what capacity results."""
    resolution = configuration.resolution
    rows: list[tuple[str, str, str]] = []
    for section, directives in _by_section().items():
        found = [name for name in directives if name in resolution.in_force]
        rows.append((f"# {section}", "", ""))
        rows.extend(_row(configuration, name, resolution.in_force[name], resolution.mpm) for name in found)
    for mpm, stated in resolution.of_mpm.items():
        if mpm is not resolution.mpm:
            rows.append((f"# Configured for the {mpm.value} MPM, not in force", "", ""))
            rows.extend(_row(configuration, name, stated[name], mpm) for name in stated)
    rows.append((f"# What the {resolution.mpm.value} MPM makes of it", "", ""))
    rows.extend(_capacity(configuration))
    names = max(len(row[0]) for row in rows if not row[0].startswith("#"))
    values = min(48, max(len(row[1]) for row in rows))
    read = "no configuration file" if configuration.file is None else f"configuration file {configuration.file}"
    lines = [f"# {read}"]
    for name, value, origin in rows:
        lines.append(name if name.startswith("#") else f"{name:<{names}}  {value:<{values}}  {origin}")
    return "\n".join(lines)


def as_json(configuration: Configuration, application: Mapping[str, object] | None) -> str:
    """One JSON object. Values are as in a TOML file; what follows from the automatic ones is under "capacity"."""
    resolution, settings = configuration.resolution, configuration.settings
    found = settings.capacity
    document = {
        "mpm": resolution.mpm.value,
        "file": None if configuration.file is None else str(configuration.file),
        "capacity": {
            "fixed": found.start == found.least == found.most,
            "unit": _unit(resolution.mpm),
            "units_per_child": found.threads_per_child,
            "children": {"start": found.start, "least": found.least, "most": found.most},
            "units": {
                "start": found.start * found.threads_per_child,
                "most": found.most * found.threads_per_child,
                "min_spare": found.min_spare,
                "max_spare": found.max_spare,
            },
            "memory_limit": settings.memory.limit,
        },
        "directives": {name: _entry(name, stated) for name, stated in resolution.in_force.items()},
        "not_in_force": {
            mpm.value: {name: _entry(name, stated) for name, stated in entries.items()}
            for mpm, entries in resolution.of_mpm.items()
            if mpm is not resolution.mpm
        },
        "application": application,
        "warnings": list(configuration.warnings),
    }
    return json.dumps(document, indent=2)


def as_toml(configuration: Configuration) -> str:
    """A tricorn.toml that states what was stated, by whatever source."""
    resolution = configuration.resolution
    lines = [
        f"{name} = {toml(by_name()[name].kind.to_toml(stated.value))}"
        for name, stated in resolution.shared.items()
        if not stated.is_default
    ]
    for mpm, entries in resolution.of_mpm.items():
        own = [(name, stated) for name, stated in entries.items() if not stated.is_default]
        if own:
            lines += ["", f"[{mpm.value}]"]
            lines += [f"{name} = {toml(by_name()[name].kind.to_toml(stated.value))}" for name, stated in own]
    return "\n".join(lines).strip()


def _by_section() -> Mapping[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for directive in table():
        sections.setdefault(directive.section.value, []).append(directive.name)
    return sections


def _row(configuration: Configuration, name: str, stated: Stated, mpm: Mpm) -> tuple[str, str, str]:
    value = shown(by_name()[name], stated.value)
    if mpm is configuration.resolution.mpm and (outcome := _outcome(configuration, name, stated)):
        value = f"{value} ({outcome})"
    return name, value, str(stated)


def _outcome(configuration: Configuration, name: str, stated: Stated) -> str:
    """What became of a value that is found out when settings are built."""
    settings, numbers = configuration.settings, _numbers(_sizes(configuration), configuration.resolution.mpm)
    if name in numbers and stated.value is None:
        return str(numbers[name].value)
    if name == capacity.MEMORY_LIMIT.name and stated.value is not None:
        return "not known here" if settings.memory.limit is None else _bytes(settings.memory.limit)
    if name == requests.SPOOL_DIRECTORY.name and stated.value is None:
        return str(settings.spool.directory)
    if name == requests.SPOOL_LIMIT.name and stated.value is None:
        return _bytes(settings.spool.limit)
    if name == lifecycle.CONTROL_SOCKET.name and settings.lifecycle.control_directory is not None:
        return str(settings.lifecycle.control_directory / "PID.sock")
    return ""


def _capacity(configuration: Configuration) -> list[tuple[str, str, str]]:
    """The capacity in children and in units, with what each number was made of."""
    found, band = configuration.settings.capacity, _sizes(configuration)
    mpm, threads = configuration.resolution.mpm, found.threads_per_child
    origin = {
        name: f"{name}: "
        + (
            str(configuration.resolution.in_force[name])
            if number.because == STATED
            else number.because
            if band.fixed
            else f"auto, from {number.because}"
        )
        for name, number in _numbers(band, mpm).items()
    }
    if band.fixed:
        said = f"workers: {configuration.resolution.stated(capacity.WORKERS)}"
        return [("always", _children(found.start, threads, mpm), said)]
    least, most = (directive.name for directive in SPARE[mpm])
    return [
        ("at the start", _children(found.start, threads, mpm), origin[capacity.START_SERVERS.name]),
        ("never fewer than", _children(found.least, threads, mpm), origin[least]),
        ("never more than", _children(found.most, threads, mpm), origin[capacity.MAX_REQUEST_WORKERS.name]),
        ("grows below", _counted(found.min_spare, f"idle {_unit(mpm)}"), origin[least]),
        ("shrinks above", _counted(found.max_spare, f"idle {_unit(mpm)}"), origin[most]),
    ]


def _sizes(configuration: Configuration) -> Sizes:
    resolution = configuration.resolution
    threads = resolution.value(capacity.THREADS_PER_CHILD)
    return sizes(resolution.mpm, configuration.machine.cpus, threads, asked_of(resolution, resolution.mpm))


def _numbers(band: Sizes, mpm: Mpm) -> Mapping[str, Number]:
    """The numbers of a band by the directive that states them."""
    least, most = (directive.name for directive in SPARE[mpm])
    return {
        capacity.START_SERVERS.name: band.start,
        least: band.min_spare,
        most: band.max_spare,
        capacity.MAX_REQUEST_WORKERS.name: band.limit,
    }


def _unit(mpm: Mpm) -> str:
    return "process" if mpm is Mpm.PREFORK else "thread"


def _children(children: int, threads: int, mpm: Mpm) -> str:
    counted = "1 child" if children == 1 else f"{children} children"
    return counted if mpm is Mpm.PREFORK else f"{counted}, {_counted(children * threads, 'thread')}"


def _counted(number: int, one: str) -> str:
    many = f"{one}es" if one.endswith("ss") else f"{one}s"
    return f"{number} {one if number == 1 else many}"


def _bytes(number: int) -> str:
    return f"{number / (1 << 30):.1f}G" if number >= 1 << 30 else f"{number >> 20}M"


def _entry(name: str, stated: Stated) -> Mapping[str, object]:
    return {
        "value": by_name()[name].kind.to_toml(stated.value),
        "origins": [
            {"source": origin.source.value, "name": origin.name or None, "line": origin.line, "text": str(origin)}
            for origin in stated.origins
        ],
    }
