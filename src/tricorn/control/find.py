"""Which server a command means: the one that was named, the one that is configured here, or the only one there is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tricorn.config import environment, file
from tricorn.config.machine import control_directories
from tricorn.control.client import Conversation, NoAnswerError
from tricorn.control.messages import Request, Verb
from tricorn.control.places import is_alive, sockets
from tricorn.errors import ConfigError

_DIRECTIVE: Final = "control_socket"
_VARIABLE: Final = "TRICORN_CONTROL_SOCKET"
_PATIENCE: Final = 2.0
"""Seconds for each of several servers to say what it serves."""


def find_server(asked: Path | None, directory: Path, variables: Mapping[str, str], user: int) -> Path:
    """The control socket of the server that is meant.

    Looked for in this order: `asked` (the option --socket); TRICORN_CONTROL_SOCKET; control_socket of the configuration
    file that a server started in `directory` would read; the living servers of this user.

    Raises:
        NoAnswerError: none is found.
        ConfigError: several are found, or what is configured makes no sense.
    """
    if asked is not None:
        return directory / asked
    named = _configured(directory, variables)
    if named is not None:
        place, origin = named
        if place == "off":
            raise ConfigError(f"{origin}: this server has no control socket (off); it hears signals only")
        if place != "auto":
            path = directory / place
            if not is_alive(path):
                raise NoAnswerError(f"no server listens at {path} ({origin})")
            return path
    return _only_one(control_directories(user, variables), user)


def _configured(directory: Path, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """What is configured, and where."""
    if value := variables.get(_VARIABLE):
        return value, _VARIABLE
    other = variables.get(environment.CONFIG_VARIABLE)
    document = file.find(Path(other) if other else None, directory)
    value = None if document is None else document.table.get(_DIRECTIVE)
    if document is None or value is None:
        return None
    origin = str(file.where(document, (_DIRECTIVE,)))
    if not isinstance(value, str):
        raise ConfigError(f"{origin}: {_DIRECTIVE} is a path, auto or off; name the server with --socket PATH")
    return value, origin


def _only_one(directories: tuple[Path, ...], user: int) -> Path:
    living = [path for directory in directories for path in sockets(directory, user) if is_alive(path)]
    if len(living) == 1:
        return living[0]
    if not living:
        looked = " and ".join(str(directory) for directory in directories)
        raise NoAnswerError(
            f"no server of this user is running (looked into {looked}); name another's with --socket PATH"
        )
    lines = [f"there are {len(living)} servers; say which one with --socket PATH:", *_described(living)]
    raise ConfigError("\n".join(lines))


def _described(living: list[Path]) -> Iterator[str]:
    for path in living:
        try:
            with Conversation(path) as conversation:
                done = conversation.ask(Request(Verb.STATUS), lambda _: None, time.monotonic() + _PATIENCE)
            data = {} if done is None else done.data
        except NoAnswerError:
            data = {}
        addresses = data.get("addresses")
        where = ", ".join(map(str, addresses)) if isinstance(addresses, list) else "nobody knows where"
        yield f"{path}: pid {data.get('pid', '?')} serves {data.get('application', '?')} on {where}"
