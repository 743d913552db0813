"""What travels on the control socket: one JSON object a line. Bytes to values and back; no sockets here.

A client sends one request, {"verb": "retire", "arguments": {"child": 3}}. The answer is any number of {"progress": text}
and then one {"done": {"code": 0, "text": "...", "data": {...}}}, after which the server closes. What comes from the other
side is checked, whichever side one is on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

LONGEST_REQUEST: Final = 8 * 1024
"""Bytes of a request, its end of line included."""
LONGEST_ANSWER: Final = 1 << 20
"""Bytes of everything that a server has to say to one client and that the client has not taken yet."""
MOST: Final = 2**31 - 1
"""The largest number in a request."""


class Verb(Enum):
    """What a client may ask for; the words of the command line."""

    STATUS = "status"
    RELOAD = "reload"
    STOP = "stop"
    UPGRADE = "upgrade"
    REOPEN_LOGS = "reopen-logs"
    RESIZE = "resize"
    RETIRE = "retire"
    WHY = "why"


class RequestError(Exception):
    """A request makes no sense; the text is for who has sent it."""


class AnswerError(Exception):
    """An answer makes no sense: whoever listens there is no server of ours, or one of another time."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; of the arguments, each verb has its own and the others keep what stands here."""

    verb: Verb
    now: bool = False
    """stop: without waiting for anybody."""
    most: int = 0
    """resize (on the wire: "max"): how many units there may be, from 1."""
    child: int = 0
    """retire: the slot of the child."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended. The codes are exit codes, those of `tricorn.errors`: 0 is done as asked."""

    code: int
    text: str
    """For the operator: one sentence, or several lines."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What has been done so far."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The last answer."""

    outcome: Outcome
    data: Mapping[str, Any] = field(default_factory=dict)
    """For programs: JSON data."""


_ARGUMENTS: Final[Mapping[Verb, Mapping[str, type]]] = {
    Verb.STOP: {"now": bool},
    Verb.RESIZE: {"max": int},
    Verb.RETIRE: {"child": int},
}
_FIELDS: Final = {"now": "now", "max": "most", "child": "child"}
"""Arguments of the wire, and the fields of `Request` that they are."""
_NEEDED: Final = {"max": 1, "child": 0}
"""Arguments that have no default, with the least that each may be."""


def parse_request(line: bytes) -> Request:
    """A request from its line. Raises RequestError with a sentence for the client."""
    document = _document(line)
    if not isinstance(document, dict) or not isinstance(document.get("verb"), str):
        raise RequestError('a request is one line with a JSON object, for example {"verb": "status"}')
    try:
        verb = Verb(document["verb"])
    except ValueError:
        known = ", ".join(verb.value for verb in Verb)
        raise RequestError(f'there is no verb "{document["verb"][:40]}"; there are {known}') from None
    if unknown := sorted(set(document) - {"verb", "arguments"}):
        raise RequestError(f'a request has a "verb" and "arguments", and no "{unknown[0][:40]}"')
    arguments = document.get("arguments", {})
    if not isinstance(arguments, dict):
        raise RequestError('"arguments" is a JSON object')
    return Request(verb, **_checked(verb, arguments))


def _document(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, too deep, a number of 5,000 digits
        return None


def _checked(verb: Verb, arguments: dict[str, Any]) -> dict[str, Any]:
    allowed = _ARGUMENTS.get(verb, {})
    if unknown := sorted(set(arguments) - set(allowed)):
        raise RequestError(f'{verb.value} has no argument "{unknown[0][:40]}"')
    for name, kind in allowed.items():
        value = arguments.get(name)
        if value is None and name not in _NEEDED:
            continue
        if type(value) is not kind:  # True is an int, and is not meant here
            raise RequestError(f'{verb.value} needs "{name}", {"a whole number" if kind is int else "true or false"}')
        if isinstance(value, int) and name in _NEEDED and not _NEEDED[name] <= value <= MOST:
            raise RequestError(f'"{name}" is from {_NEEDED[name]} to {MOST}')
    return {_FIELDS[name]: value for name, value in arguments.items() if value is not None}


def encode_request(request: Request) -> bytes:
    """The line of a request."""
    arguments = {name: getattr(request, _FIELDS[name]) for name in _ARGUMENTS.get(request.verb, {})}
    return _line({"verb": request.verb.value, "arguments": arguments})


def encode_answer(answer: Progress | Done) -> bytes:
    """The line of an answer."""
    match answer:
        case Progress(text):
            return _line({"progress": text})
        case Done(outcome, data):
            return _line({"done": {"code": outcome.code, "text": outcome.text, "data": dict(data)}})


def parse_answer(line: bytes) -> Progress | Done:
    """An answer from its line. Raises AnswerError."""
    match _document(line):
        case {"progress": str(text)}:
            return Progress(text)
        case {"done": {"code": int(code), "text": str(text), "data": dict(data)}} if 0 <= code <= 255:
            return Done(Outcome(code, text), data)
        case _:
            raise AnswerError("what answers there does not speak as a tricorn server does")


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
