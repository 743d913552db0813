"""PEP 3333, requests: the environ exactly, and every way to read a body."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.server.client import Client, chunked, request
from tests.server.conftest import Serving, Start
from tricorn.testing import Server

# One child, so that what the probe remembers of one request is there in the next.
ALONE = {
    "prefork": ("--workers=1",),
    "worker": ("--workers=1", "--threads-per-child=2"),
    "event": ("--workers=1", "--threads-per-child=2"),
}
SERVING = Serving("wsgi_probe.py:application", options=("--request-memory=1K",), capacity=ALONE)


def _environ(client: Client, data: bytes) -> dict[str, Any]:
    answer = client.send(data).response()
    assert answer.status == 200, answer
    environ = json.loads(answer.body)
    assert isinstance(environ, dict)
    return environ


def test_the_environ_of_a_plain_request(server: Server, client: Client, mpm: str) -> None:
    environ = _environ(client, request("/environ?a=1&b=%20", "Accept: text/plain", "Host: example.org:1"))
    types = environ.pop("types")
    own = client.socket.getsockname()
    wanted = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environ",
        "QUERY_STRING": "a=1&b=%20",
        "REQUEST_URI": "/environ?a=1&b=%20",
        "RAW_URI": "/environ?a=1&b=%20",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": own[0],
        "REMOTE_PORT": str(own[1]),
        "HTTP_HOST": "example.org:1",
        "HTTP_ACCEPT": "text/plain",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": mpm != "prefork",
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.version": "(1, 0)",
    }
    assert {key: environ.get(key) for key in wanted} == wanted
    assert environ["SERVER_SOFTWARE"].lower().startswith("tricorn")
    assert "CONTENT_LENGTH" not in environ or environ["CONTENT_LENGTH"] == ""
    assert not [key for key in environ if key.startswith("HTTP_") and key not in {"HTTP_HOST", "HTTP_ACCEPT"}]
    assert {types[key] for key in wanted if not key.startswith("wsgi.")} == {"str"}
    assert types["wsgi.version"] == "tuple"
    assert not [key for key in environ if key in os.environ], "variables of the process are not the request's"


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/environ", "/environ"),
        ("/%65nviron", "/environ"),
        ("http://example.org/environ", "/environ"),
    ],
)
def test_the_path_is_decoded(client: Client, sent: str, path: str) -> None:
    environ = _environ(client, request(sent))
    assert (environ["PATH_INFO"], environ["REQUEST_URI"]) == (path, sent)


def test_the_path_holds_bytes_as_latin_1(start: Start) -> None:
    server = start(Serving("seen.py:application", capacity=ALONE))
    with Client(server.address) as client:
        seen = json.loads(client.get("/caf%C3%A9%2Fa%20b%FF;x=1?q=%C3%A9").body)
    assert seen["PATH_INFO"].encode("latin-1") == "/café/a b".encode() + b"\xff;x=1"
    assert seen["QUERY_STRING"] == "q=%C3%A9"


def test_fields_become_variables(client: Client) -> None:
    environ = _environ(
        client,
        request(
            "/environ",
            "X-Twice: one",
            "x-twice: two",
            "Cookie: a=1",
            "Cookie: b=2",
            "X-Latin: caf\xe9",
            "X-Blank:  b  ",
            "Content-Type: text/x; y",
            "X-Empty:",
            "Range: bytes=0-1",
        ),
    )
    assert environ["HTTP_X_TWICE"].replace(", ", ",") == "one,two"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_X_LATIN"] == "caf\xe9"
    assert environ["HTTP_X_BLANK"] == "b"
    assert environ["HTTP_X_EMPTY"] == ""
    assert environ["CONTENT_TYPE"] == "text/x; y"
    assert "HTTP_CONTENT_TYPE" not in environ


def test_names_that_could_be_taken_for_others_are_dropped(client: Client) -> None:
    environ = _environ(
        client,
        request("/environ", "X_Forwarded_For: forged", "Content_Length: 5", "Proxy: http://evil", "X-Real: yes"),
    )
    assert not {"HTTP_X_FORWARDED_FOR", "HTTP_CONTENT_LENGTH", "HTTP_PROXY"} & set(environ)
    assert environ["HTTP_X_REAL"] == "yes"


def test_a_chunked_body_has_its_counted_length(client: Client) -> None:
    data = request("/environ", "Transfer-Encoding: chunked", method="POST") + chunked(b"12345", b"678")
    environ = _environ(client, data)
    assert environ["CONTENT_LENGTH"] == "8"
    assert "HTTP_TRANSFER_ENCODING" not in environ


def test_http_10(client: Client) -> None:
    environ = _environ(client, b"GET /environ HTTP/1.0\r\n\r\n")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in environ


def test_script_name(start: Start) -> None:
    server = start(Serving("seen.py:application", options=("--root-path=/mounted/here",), capacity=ALONE))
    with Client(server.address) as client:
        for path, rest in (("/mounted/here/page", "/page"), ("/mounted/here", ""), ("/mounted/here/", "/")):
            seen = json.loads(client.get(path).body)
            assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/mounted/here", rest)


BODY = b"first line\n\nthird line\nno end" * 100
LINES = BODY.splitlines(keepends=True)


def _post(path: str, coding: str) -> bytes:
    if coding == "length":
        return request(path, method="POST", body=BODY)
    return request(path, "Transfer-Encoding: chunked", method="POST") + chunked(BODY[:7], BODY[7:1500], BODY[1500:])


@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize(
    "path", ["/read", "/read?n=1", "/read?n=1000", "/read?n=99999", "/readinto?n=7", "/readinto?n=9999"]
)
def test_reading_in_pieces(client: Client, path: str, coding: str) -> None:
    assert client.send(_post(path, coding)).response().body == BODY


@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("path", ["/readline", "/readline?n=99", "/readlines", "/iterate"])
def test_reading_lines(client: Client, path: str, coding: str) -> None:
    lines = json.loads(client.send(_post(path, coding)).response().body)
    assert [line.encode() for line in lines] == LINES


def test_reading_parts_of_lines_and_some_lines(client: Client) -> None:
    parts = json.loads(client.send(_post("/readline?n=5", "length")).response().body)
    assert "".join(parts).encode() == BODY
    assert max(len(part) for part in parts) == 5
    some = json.loads(client.send(_post("/readlines?hint=20", "length")).response().body)
    assert [line.encode() for line in some] == LINES[: len(some)]
    assert 20 <= sum(len(line) for line in some) < 60


def test_an_absent_body_is_empty(client: Client) -> None:
    assert client.get("/read").body == b""
    assert client.get("/readlines").body == b"[]"
    assert client.send(request("/read", "Content-Length: 0", method="POST")).response().body == b""


@pytest.mark.parametrize("size", [10, 5000], ids=["memory", "file"])
def test_the_body_and_start_response_after_the_request(client: Client, size: int) -> None:
    client.send(request("/after", method="POST", body=b"k" * size))
    assert client.response().body == b"kept"
    assert client.get("/after-read").body == b"refused:" + b"k" * size


def test_wsgi_errors_is_the_error_log(server: Server, client: Client) -> None:
    mark = server.log.mark()
    client.get("/log?text=written+by+the+application")
    server.log.wait_for("written by the application", after=mark)
