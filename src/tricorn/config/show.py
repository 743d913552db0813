"""The effective configuration for people, for programs (JSON) and as a file that says the same (TOML)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tricorn.config.configuration import Configuration
from tricorn.config.directives import by_name, serving, table
from tricorn.config.origins import Stated, shown
from tricorn.config.settings import Mpm
from tricorn.config.toml_text import toml


def as_text(configuration: Configuration) -> str:
    """A table of name, value and origin; then what is configured for MPMs that are not selected."""
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
    names = max(len(row[0]) for row in rows if not row[0].startswith("#"))
    values = min(48, max(len(row[1]) for row in rows))
    read = "no configuration file" if configuration.file is None else f"configuration file {configuration.file}"
    lines = [f"# {read}"]
    for name, value, origin in rows:
        lines.append(name if name.startswith("#") else f"{name:<{names}}  {value:<{values}}  {origin}")
    return "\n".join(lines)


def as_json(configuration: Configuration, application: Mapping[str, object] | None) -> str:
    """One JSON object. Values are as in a TOML file; start_servers has its outcome under "children"."""
    resolution = configuration.resolution
    document = {
        "mpm": resolution.mpm.value,
        "file": None if configuration.file is None else str(configuration.file),
        "children": configuration.settings.capacity.children,
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
    if name == serving.START_SERVERS.name and stated.value is None and mpm is configuration.resolution.mpm:
        value = f"auto ({configuration.settings.capacity.children})"
    if name == "spool_directory" and stated.value is None:
        value = f"none ({Path(configuration.settings.spool.directory)})"
    return name, value, str(stated)


def _entry(name: str, stated: Stated) -> Mapping[str, object]:
    return {
        "value": by_name()[name].kind.to_toml(stated.value),
        "origins": [
            {"source": origin.source.value, "name": origin.name or None, "line": origin.line, "text": str(origin)}
            for origin in stated.origins
        ],
    }
