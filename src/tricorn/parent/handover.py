"""What a server hands to its successor in an upgrade, as text: one environment variable, and the words between them.

Values, their form, and what is wrong with a form. Who starts whom is in `upgrade.py`, who takes what in
`succession.py`. A variable can be set by anybody, so what it says is checked as if a stranger had written it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tricorn.config.environment import UPGRADE_VARIABLE
from tricorn.errors import ConfigError
from tricorn.parent.unix_socket import SocketFile

GO: Final = b"go\n"
"""What the old server says when it has let go of everything."""
LONGEST_WORD: Final = 64 * 1024
"""Bytes of what the new server says."""
_FORMAT: Final = 1
_LONGEST: Final = 128 * 1024
"""Bytes of the variable; Linux allows no longer one."""
_HIGHEST_FD: Final = 1 << 20
_HIGHEST_NUMBER: Final = 1 << 64
"""What a device or an inode may be."""


class MalformedError(Exception):
    """Text that does not have the form it should have; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class PassedSocket:
    """One listening socket."""

    name: tuple[str | int, ...]
    """What it was opened for: ("tcp", host, port), ("unix", path), ("fd", number) or ("systemd",)."""
    fd: int
    file: SocketFile | None
    """The file of a Unix socket that Tricorn made."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Everything that is handed over."""

    pair: int
    """The descriptor on which both servers speak."""
    sockets: tuple[PassedSocket, ...]
    pid_file: tuple[Path, int] | None
    """Its path and its locked descriptor."""

    def encode(self) -> str:
        """As text."""
        sockets = [
            {
                "name": socket.name,
                "fd": socket.fd,
                "file": None if socket.file is None else [str(socket.file.path), socket.file.device, socket.file.inode],
            }
            for socket in self.sockets
        ]
        pid_file = None if self.pid_file is None else [str(self.pid_file[0]), self.pid_file[1]]
        return json.dumps({"format": _FORMAT, "pair": self.pair, "sockets": sockets, "pid_file": pid_file})


@dataclass(frozen=True, slots=True)
class Serving:
    """What the new server says when its children serve."""

    pid: int
    taken: frozenset[int]
    """The descriptors of the sockets that it uses."""
    pid_file: bool
    """Whether it uses the pid file that it was handed."""

    def encode(self) -> bytes:
        """As one line."""
        record = {"serving": self.pid, "taken": sorted(self.taken), "pid_file": self.pid_file}
        return json.dumps(record).encode() + b"\n"


def decode_handover(text: str) -> Handover:
    """The meaning of the variable. Raises ConfigError."""
    try:
        record = _object(text, _LONGEST)
        if record.get("format") != _FORMAT:
            raise MalformedError(f"format {_FORMAT} is expected")
        pid_file = None
        if record.get("pid_file") is not None:
            path, fd = _fields(record["pid_file"], 2)
            pid_file = Path(_path(path)), _fd(fd)
        sockets = record.get("sockets")
        if not isinstance(sockets, list):
            raise MalformedError("sockets are no list")
        handover = Handover(_fd(record.get("pair")), tuple(_socket(entry) for entry in sockets), pid_file)
        fds = [handover.pair, *(entry.fd for entry in handover.sockets), *(() if pid_file is None else (pid_file[1],))]
        if len(fds) != len(set(fds)):
            raise MalformedError("a descriptor is named twice")
        return handover
    except MalformedError as error:
        raise refusal(str(error)) from error


def decode_serving(line: bytes) -> Serving:
    """The meaning of the new server's line. Raises MalformedError."""
    record = _object(line.decode("utf-8", "replace"), LONGEST_WORD)
    taken, pid_file = record.get("taken"), record.get("pid_file")
    if not isinstance(taken, list) or not isinstance(pid_file, bool):
        raise MalformedError("a field is missing")
    return Serving(_number(record.get("serving"), 1 << 31), frozenset(_fd(fd) for fd in taken), pid_file)


def refusal(reason: str) -> ConfigError:
    """A variable that no running server has set, in a sentence."""
    return ConfigError(
        f"{UPGRADE_VARIABLE} is not what a running server hands to its successor ({reason}); unset it, and start again"
    )


def _object(text: str, longest: int) -> dict[str, Any]:
    if len(text) > longest:
        raise MalformedError("it is too long")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedError("it is no JSON") from None
    if not isinstance(record, dict):
        raise MalformedError("it is no JSON object")
    return record


def _socket(entry: Any) -> PassedSocket:
    if not isinstance(entry, dict):
        raise MalformedError("a socket is no object")
    file = None
    if entry.get("file") is not None:
        path, device, inode = _fields(entry["file"], 3)
        file = SocketFile(Path(_path(path)), _number(device, _HIGHEST_NUMBER), _number(inode, _HIGHEST_NUMBER))
    match entry.get("name"):
        case ["tcp", str(host), int(port)]:
            name: tuple[str | int, ...] = ("tcp", host, port)
        case ["unix", str(path)]:
            name = ("unix", path)
        case ["fd", int(number)]:
            name = ("fd", number)
        case ["systemd"]:
            name = ("systemd",)
        case _:
            raise MalformedError("a socket has no name that is known")
    if file is not None and name[0] != "unix":
        raise MalformedError("a socket that is no Unix socket has a file")
    return PassedSocket(name, _fd(entry.get("fd")), file)


def _fields(value: Any, count: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != count:
        raise MalformedError("a list has the wrong length")
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise MalformedError("a path is no path")
    try:
        os.fsencode(value)
    except UnicodeError:
        raise MalformedError("a path is no path") from None
    return value


def _fd(value: Any) -> int:
    return _number(value, _HIGHEST_FD)


def _number(value: Any, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
        raise MalformedError("a number is out of range")
    return value
