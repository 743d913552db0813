"""A Flask application driven end to end with `requests`, as browsers and programs would."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.server.conftest import APPS, Serving
from tricorn.testing import Server

SERVING = Serving("flask_site.py:app", options=("--request-memory=64K", "--response-memory=64K"))
LARGE = bytes(range(256)) * 4096 * 20  # 20 MiB: far beyond request_memory


@pytest.fixture
def http(server: Server) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_a_session_is_carried_by_its_cookie(server: Server, http: requests.Session) -> None:
    assert http.get(f"{server.url}/").text == "Hello, stranger"
    answer = http.post(f"{server.url}/login", data={"name": "Zoë"})
    assert [step.status_code for step in answer.history] == [302]
    assert answer.text == "Hello, Zoë"
    assert requests.get(f"{server.url}/", timeout=10).text == "Hello, stranger"


def test_forms(server: Server, http: requests.Session) -> None:
    sent = [("a", "1"), ("a", "2"), ("text", "line\r\nline"), ("ü", "€")]
    assert http.post(f"{server.url}/form", data=sent).json() == {"a": ["1", "2"], "text": ["line\r\nline"], "ü": ["€"]}


def test_json(server: Server, http: requests.Session) -> None:
    value: dict[str, Any] = {"list": [1, 2.5, None, True, "é"], "nested": {"x": {}}}
    assert http.post(f"{server.url}/json", json=value).json() == {"got": value}


@pytest.mark.parametrize("content", [b"small", b"", LARGE], ids=["small", "empty", "20M"])
def test_uploads(server: Server, http: requests.Session, content: bytes) -> None:
    files: dict[str, Any] = {"file": ("näme.bin", content, "application/x-thing"), "second": ("b.txt", b"two")}
    told = http.post(f"{server.url}/upload", files=files, data={"note": "with it"}).json()
    assert told["fields"] == {"note": "with it"}
    assert told["files"]["file"]["size"] == len(content)
    assert told["files"]["file"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert told["files"]["second"]["size"] == 3


def test_an_upload_of_unknown_length(server: Server, http: requests.Session) -> None:
    def blocks() -> Iterator[bytes]:
        yield b'{"chunked": '
        yield b"true}"

    answer = http.post(f"{server.url}/json", data=blocks(), headers={"Content-Type": "application/json"})
    assert answer.json() == {"got": {"chunked": True}}


def test_many_uploads_at_once(server: Server) -> None:
    content = LARGE[:1_000_000]

    def one(number: int) -> str:
        answer = requests.post(f"{server.url}/upload", files={"f": content + bytes([number])}, timeout=30)
        return str(answer.json()["files"]["f"]["sha256"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(16))) == [
            hashlib.sha256(content + bytes([number])).hexdigest() for number in range(16)
        ]


def test_a_body_that_the_application_refuses(server: Server, http: requests.Session) -> None:
    assert http.post(f"{server.url}/upload", files={"f": b"x" * (64 * 1024 * 1024 + 1)}).status_code == 413
    assert http.get(f"{server.url}/").status_code == 200


@pytest.mark.parametrize("count", [0, 1, 20000])
def test_streams(server: Server, http: requests.Session, count: int) -> None:
    answer = http.get(f"{server.url}/stream/{count}", stream=True)
    lines = list(answer.iter_lines(decode_unicode=True))
    assert lines == [f"/stream/{count} {number}" for number in range(count)]


def test_files_and_conditional_requests(server: Server, http: requests.Session) -> None:
    content = Path(APPS / "flask_site.py").read_bytes()
    answer = http.get(f"{server.url}/file")
    assert answer.content == content
    assert int(answer.headers["Content-Length"]) == len(content)
    again = http.get(f"{server.url}/file", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = http.get(f"{server.url}/file", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert http.get(f"{server.url}/temporary").content == b"temporary " * 10000


def test_errors_are_answers(server: Server, http: requests.Session) -> None:
    mark = server.log.mark()
    assert http.get(f"{server.url}/broken").status_code == 500
    server.log.wait_for("RuntimeError: broken on purpose", after=mark)
    assert http.get(f"{server.url}/teapot").status_code == 418
    assert http.get(f"{server.url}/missing").status_code == 404


def test_cookies_are_separate_fields(server: Server, http: requests.Session) -> None:
    http.get(f"{server.url}/cookies")
    assert http.cookies.get_dict() == {"one": "1", "two": "2"}


def test_paths_and_queries_beyond_ascii(server: Server, http: requests.Session) -> None:
    assert http.get(f"{server.url}/näher/ça va?q=ü&q=2").text == "ça va ü"


def test_head_and_options(server: Server, http: requests.Session) -> None:
    assert http.head(f"{server.url}/").headers["Content-Length"] == str(len("Hello, stranger"))
    assert "GET" in http.options(f"{server.url}/").headers["Allow"]


def test_the_application_knows_its_address(server: Server, http: requests.Session) -> None:
    told = http.get(f"{server.url}/address?x=1").json()
    assert told == {
        "url": f"{server.url}/address?x=1",
        "remote": "127.0.0.1",
        "scheme": "http",
        "host": server.url.removeprefix("http://"),
    }


def test_a_thousand_requests_by_eight_clients(server: Server) -> None:
    def one(number: int) -> set[str]:
        with requests.Session() as session:
            session.trust_env = False
            return {session.post(f"{server.url}/form", data={"n": str(number)}).text for _ in range(125)}

    with ThreadPoolExecutor(8) as pool:
        assert all(len(texts) == 1 for texts in pool.map(one, range(8)))
