"""Where this process's configuration comes from: its words, its environment, its directory, its machine.

Kept for reloads: the words and the directory are those of the start, file and machine are looked at again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tricorn.config.commandline import CommandLine
from tricorn.config.configuration import Configuration, configure
from tricorn.config.machine import gather
from tricorn.config.settings import Mpm


@dataclass(frozen=True)
class Sources:
    """All that a configuration is made from."""

    line: CommandLine
    variables: Mapping[str, str]
    directory: Path

    @classmethod
    def of_this_process(cls, line: CommandLine) -> Sources:
        """The sources as they are now."""
        return cls(line, dict(os.environ), Path.cwd())

    def configure(self) -> Configuration:
        """Read them all. Raises ConfigError."""
        return configure(self.line, self.variables, self.directory, gather(self.variables), systems_of)


def systems_of(mpm: Mpm) -> Collection[str]:
    """The systems on which an MPM says it runs."""
    from tricorn.mpm import select  # noqa: PLC0415  (the MPMs load the engine, which --help does without)

    return select(mpm).SYSTEMS
