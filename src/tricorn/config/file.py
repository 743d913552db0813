"""What a configuration file states: finding it, parsing it, reading its keys.

The file is tricorn.toml, or the table [tool.tricorn] of pyproject.toml. Settings of one MPM stand in a table of its
name, so one file configures all three. What is written for an MPM that is not selected is checked all the same.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tricorn.config.aliases import aliases
from tricorn.config.directives import by_name
from tricorn.config.directives.shape import EVERY_MPM, Directive
from tricorn.config.names import foreign_names, squeezed, suggestion
from tricorn.config.origins import Layer, Origin, Source, Stated, refusal
from tricorn.config.settings import Mpm
from tricorn.errors import ConfigError

OWN_NAME = "tricorn.toml"
PROJECT_NAME = "pyproject.toml"
PROJECT_TABLE = ("tool", "tricorn")
LARGEST = 1 << 20


@dataclass(frozen=True)
class Document:
    """A file that was found and parsed."""

    path: Path
    """As the operator wrote it, for messages."""
    text: str
    table: Mapping[str, Any]
    within: tuple[str, ...]
    """The tables around `table` in the file."""


def find(asked: Path | None, directory: Path) -> Document | None:
    """The file to read: the one asked for, or tricorn.toml, or pyproject.toml of `directory` if it speaks of us.

    Raises ConfigError when the file asked for is not there, and when a file cannot be read or is not TOML.
    """
    if asked is not None:
        if asked.suffix == ".py" or str(asked).startswith("python:"):
            raise ConfigError(
                f"{asked}: the configuration file is TOML and not Python: write tricorn.toml (`tricorn check --toml`"
                " prints one from a command line), or put the values on the command line."
            )
        document = parse(asked, directory / asked)
        if document is None:
            raise ConfigError(f"{asked} has no table [tool.tricorn].")
        return document
    for name in (OWN_NAME, PROJECT_NAME):
        if (directory / name).is_file() and (document := parse(Path(name), directory / name)):
            return document
    return None


def parse(name: Path, path: Path) -> Document | None:
    """Read one file; None for a pyproject.toml without our table. Raises ConfigError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{name}: the configuration file cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST:
        raise ConfigError(f"{name}: the configuration file is larger than 1M.")
    try:
        text = data.decode()
        table: Any = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: the file is not UTF-8 (byte {error.start}).") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{name} is not valid TOML: {error}.") from None
    if path.name != PROJECT_NAME:
        return Document(name, text, table, ())
    for key in PROJECT_TABLE:
        if not isinstance(table, dict) or key not in table:
            return None
        table = table[key]
    if not isinstance(table, dict):
        raise ConfigError(f"{name}: tool.tricorn is not a table: write [tool.tricorn].")
    return Document(name, text, table, PROJECT_TABLE)


def read(document: Document) -> Layer:
    """What the file states."""
    layer = Layer()
    mpms = {mpm.value: mpm for mpm in EVERY_MPM}
    for key, value in document.table.items():
        if key in mpms:
            read_mpm(layer, document, mpms[key], value)
            continue
        directive = by_name().get(key)
        origin = where(document, (key,))
        if directive is None:
            layer.problems.append(
                unknown(origin, key, [*by_name(), *mpms], f", in a table like [{prefixed(document, Mpm.EVENT.value)}]")
            )
        elif directive.per_mpm:
            homes = ", ".join(f"[{prefixed(document, mpm.value)}]" for mpm in directive.mpms)
            layer.problems.append(f"{origin}: {key} belongs to one MPM: write it under {homes}.")
        else:
            state(layer.stated, layer.problems, origin, directive, value, key)
    return layer


def read_mpm(layer: Layer, document: Document, mpm: Mpm, table: object) -> None:
    """Read the table of one MPM."""
    if not isinstance(table, dict):
        origin = where(document, (mpm.value,))
        layer.problems.append(
            f"{origin}: {mpm.value} is the name of a table: write [{prefixed(document, mpm.value)}],"
            f' or mpm = "{mpm.value}" to select it.'
        )
        return
    own = [directive.name for directive in by_name().values() if directive.per_mpm and mpm in directive.mpms]
    stated = layer.of_mpm.setdefault(mpm, {})
    for key, value in table.items():
        directive = by_name().get(key)
        origin = where(document, (mpm.value, key))
        if directive is None:
            layer.problems.append(unknown(origin, key, own, ""))
        elif not directive.per_mpm:
            top = ".".join(document.within)
            place = f"under [{top}]" if top else "above the first table"
            layer.problems.append(f"{origin}: {key} is the same for all MPMs: write it {place}.")
        elif mpm not in directive.mpms:
            layer.problems.append(f"{origin}: the {mpm.value} MPM has no {key}; {directive.instead}.")
        else:
            state(stated, layer.problems, origin, directive, value, f"{mpm.value}.{key}")


def state(
    place: dict[str, Stated], problems: list[str], origin: Origin, directive: Directive[Any], value: object, key: str
) -> None:
    """Read one value into `place`, or note the problem with it."""
    try:
        place[directive.name] = Stated(directive.kind.from_toml(value), (origin,))
    except ValueError as error:
        problems.append(refusal(origin, directive, value, error, key))


def unknown(origin: Origin, key: str, known: list[str], home: str) -> str:
    """The sentence about a key that is not known; `home` says where what belongs to one MPM is written."""
    other = foreign_names().get(key) or foreign_names().get(squeezed(key))
    if other is not None and key not in by_name():
        place = home if by_name()[other].per_mpm else ""
        return f"{origin}: {key} is not known; here it is called {other}{place}."
    elsewhere = aliases().get("--" + key.replace("_", "-"))
    if elsewhere is not None and key not in by_name():
        return f"{origin}: {key} is not known here: {elsewhere.sentence}."
    return f"{origin}: {key} is not known{suggestion(key, known)}. `tricorn directives` lists all."


def prefixed(document: Document, name: str) -> str:
    """The full name of a table in this file."""
    return ".".join((*document.within, name))


def where(document: Document, keys: tuple[str, ...]) -> Origin:
    """The origin of a key, with the line if a search of the text finds it.

    A search is enough: the parser tells no positions, and a line that is not found is only left out of a message.
    """
    wanted = (*document.within, *keys)
    table: tuple[str, ...] = ()
    for number, line in enumerate(document.text.splitlines(), start=1):
        if header := re.fullmatch(r"\s*\[([^\[\]]+)\]\s*(#.*)?", line):
            table = dotted(header[1])
            if table == wanted:
                return Origin(Source.FILE, str(document.path), number)
        elif assignment := re.match(r"\s*([^=#\[]+?)\s*=", line):
            full = (*table, *dotted(assignment[1]))
            if full[: len(wanted)] == wanted or wanted[: len(full)] == full:
                return Origin(Source.FILE, str(document.path), number)
    return Origin(Source.FILE, str(document.path))


def dotted(text: str) -> tuple[str, ...]:
    """The parts of a dotted key, quotes taken off."""
    return tuple(part.strip().strip("\"'") for part in text.split("."))
