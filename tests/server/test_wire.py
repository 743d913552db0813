"""The wire cases (tests/wire) against a live server: what it serves, what it refuses, and with which words."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from tests.server.client import Client, ClosedError
from tests.server.conftest import Serving

SERVING = Serving("seen.py:application")
CASES = Path(__file__).parents[1] / "wire" / "cases"
DROPPED = {"transfer-encoding", "proxy"}
"""Fields that a WSGI application does not see; those with an underscore in their name neither."""


def _cases(kind: str) -> list[Any]:
    found = sorted((CASES / kind).glob("*.http"))
    assert found, f"no cases in {CASES / kind}"
    return [pytest.param(path, id=path.stem) for path in found]


def _load(path: Path) -> tuple[bytes, dict[str, Any]]:
    return path.read_bytes(), tomllib.loads(path.with_suffix(".toml").read_text())


def _environ(case: dict[str, Any]) -> dict[str, str]:
    """The HTTP_ variables that PEP 3333 and RFC 3875 make of the fields of a case."""
    variables: dict[str, str] = {}
    for name, value in case["fields"]:
        lower = name.lower()
        if "_" in lower or lower in DROPPED | {"content-length", "content-type"}:
            continue
        key = "HTTP_" + name.upper().replace("-", "_")
        joint = "; " if lower == "cookie" else ","
        variables[key] = f"{variables[key]}{joint}{value}" if key in variables else value
    return variables


@pytest.mark.parametrize("path", _cases("accept"))
def test_what_must_be_served(client: Client, path: Path) -> None:
    data, case = _load(path)
    client.send(data)
    if case.get("half_close"):
        client.half_close()
    for wanted in case["request"]:
        answer = client.response(wanted["method"])
        assert answer.status == 200, answer
        if wanted["method"] == "HEAD":
            continue
        seen = json.loads(answer.body)
        assert seen["REQUEST_METHOD"] == wanted["method"]
        assert seen["SERVER_PROTOCOL"] == wanted["version"]
        assert seen["QUERY_STRING"] == wanted["query"]
        assert seen["body"] == wanted["body"]
        assert seen["CONTENT_LENGTH"] == (str(len(wanted["body"])) if wanted["body"] else seen["CONTENT_LENGTH"])
        assert seen["CONTENT_LENGTH"] in {"", str(len(wanted["body"]))}
        assert seen["headers"] == _environ(wanted)
        if wanted["path"].startswith("/"):
            assert seen["PATH_INFO"] == unquote_to_bytes(wanted["path"].encode("latin-1")).decode("latin-1")
    if case["closes"] or case.get("half_close"):
        assert client.closed()
    else:
        assert client.get("/after").status == 200, "the connection should have been kept"


@pytest.mark.parametrize("path", _cases("reject"))
def test_what_must_be_refused(client: Client, path: Path) -> None:
    data, case = _load(path)
    client.send(data)
    if case.get("half_close"):
        client.half_close()
    if case["status"] == 0:
        assert client.closed()
        return
    try:
        answer = client.response("HEAD" if data.startswith(b"HEAD ") else "GET")
    except ClosedError as error:
        raise AssertionError(f"no answer to {data[:80]!r}") from error
    assert answer.status == case["status"]
    assert case["reason"] in answer.text
    assert answer.closes()
    client.half_close()
    assert client.closed(), "something followed the refusal"
