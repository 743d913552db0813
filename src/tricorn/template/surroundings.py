"""What surrounds the application: working directory, module search path, environment variables."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tricorn.config.settings import Environment
from tricorn.errors import ConfigError


def apply(environment: Environment) -> None:
    """Set up this process for the import of the application.

    Directives `chdir`, `python_path` and `env`, in this order. The working directory comes first in `sys.path`, as with
    `python -m`.

    Raises:
        ConfigError: the directory cannot be entered, or is gone.
    """
    if environment.chdir is not None:
        try:
            os.chdir(environment.chdir)
        except OSError as error:
            message = f"chdir: {environment.chdir} cannot be entered: {error.strerror}"
            raise ConfigError(message) from error
    try:
        here = Path.cwd()
    except FileNotFoundError as error:
        message = (
            "the directory that the server was started in is gone; name one that stays with chdir "
            "(a link to the newest release, for example), or start again"
        )
        raise ConfigError(message) from error
    for name, value in environment.variables:
        os.environ[name] = value
    _search([os.fspath(here), *(os.fspath(Path(entry).absolute()) for entry in environment.python_path)])


def _search(first: list[str]) -> None:
    """Put directories before everything else in the search path, each once. An empty entry is the working directory."""
    rest = [entry for entry in sys.path if entry and entry not in first]
    sys.path[:] = [*dict.fromkeys(first), *rest]
