"""The whole way from the sources to settings: what `cli` calls at the start, and again for each reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tricorn.config import commandline, environment, file
from tricorn.config.build import build
from tricorn.config.check import Systems, contradictions
from tricorn.config.check_capacity import memory_warnings
from tricorn.config.commandline import CommandLine
from tricorn.config.machine import Machine
from tricorn.config.resolve import Resolution, resolve
from tricorn.config.settings import Settings
from tricorn.errors import ConfigError


@dataclass(frozen=True)
class Configuration:
    """Settings, and how they came to be."""

    settings: Settings
    resolution: Resolution
    warnings: tuple[str, ...]
    machine: Machine
    """The machine that automatic values were made for."""
    file: Path | None
    """The file that was read, as the operator knows it."""


def configure(
    line: CommandLine, variables: Mapping[str, str], directory: Path, machine: Machine, systems: Systems
) -> Configuration:
    """Read every source, join, check and build. Raises ConfigError with one sentence a line, all problems at once."""
    asked = line.config
    if asked is None and (named := variables.get(environment.CONFIG_VARIABLE)):
        asked = Path(named)
    document = file.find(asked, directory)
    layers = [
        commandline.read(line, variables),
        environment.read(variables),
        environment.read_platform(variables),
    ]
    if document is not None:
        layers.append(file.read(document))
    layers.append(environment.read_surroundings(variables))
    resolution, problems = resolve(layers)
    problems = [problem for layer in layers for problem in layer.problems] + problems
    # Contradictions are looked for only among values that could all be read, lest defaults be blamed.
    problems = problems or contradictions(resolution, machine, systems)
    if problems:
        raise ConfigError("\n".join(problems))
    return Configuration(
        settings=build(resolution, machine, directory),
        resolution=resolution,
        warnings=(
            *(warning for layer in layers for warning in layer.warnings),
            *memory_warnings(resolution, machine),
        ),
        machine=machine,
        file=None if document is None else document.path,
    )
