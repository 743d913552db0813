"""PEP 3333, answers: every way to give one, `close()` exactly once, and every way to get it wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.control.client import until
from tests.server.client import Client, request
from tests.server.conftest import Serving
from tests.server.test_wsgi_environ import ALONE
from tricorn.testing import Server

SERVING = Serving("wsgi_probe.py:application", options=("--response-memory=16K",), capacity=ALONE)
CONTENT = b"".join(b"line %d of the file\n" % number for number in range(1000))


def _events(client: Client) -> list[str]:
    events = json.loads(client.get("/events").body)
    assert isinstance(events, list)
    return events


@pytest.mark.parametrize(
    ("path", "body", "framing"),
    [
        ("/", b"Hello, world!", "length"),
        ("/list?n=0", b"", "length"),
        ("/list?n=1", b"block 0\n", "length"),
        ("/list?n=3", b"block 0\nblock 1\nblock 2\n", None),
        ("/tuple", b"a tuple", "length"),
        ("/empty", b"", "length"),
        ("/subclass", b"one two", None),
        ("/generator?n=0&size=1", b"", None),
        ("/generator?n=3&size=4", b"x" * 12, "chunked"),
        ("/generator?n=3&size=4&declare=12", b"x" * 12, "length"),
        ("/late-start", b"late", "chunked"),
        ("/empty-blocks", b"word", "chunked"),
        ("/iterator-class", b"block 1\nblock 2\nblock 3\n", "chunked"),
        ("/write", b"one two three", "chunked"),
        ("/write?declare=13", b"one two three", "length"),
        ("/write-late", b"refused", "chunked"),
        ("/write-thread", b"from a thread\n" * 4 + b"done", "chunked"),
        ("/methods", b"GET", "length"),
    ],
)
def test_ways_to_answer(client: Client, path: str, body: bytes, framing: str | None) -> None:
    answer = client.get(path)
    assert (answer.body, answer.complete) == (body, True)
    assert framing is None or answer.framing == framing
    assert client.get("/").body == b"Hello, world!", "the connection should have been kept"


@pytest.mark.parametrize("kind", ["list", "generator", "write", "file"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
def test_large_answers(client: Client, kind: str, declared: bool) -> None:
    size = 16 * 200_000
    answer = client.get(f"/big?size={size}&kind={kind}" + (f"&declare={size}" if declared else ""))
    assert answer.complete
    assert answer.body == b"0123456789abcdef" * 200_000


@pytest.mark.parametrize("kind", ["plain", "raw", "named", "gzip", "bytesio"])
@pytest.mark.parametrize("more", ["", "&offset=100", "&declare=20"])
def test_file_wrapper(server: Server, client: Client, kind: str, more: str) -> None:
    wanted = CONTENT[100:] if "offset" in more else CONTENT[:20] if "declare" in more else CONTENT
    answer = client.get(f"/file?kind={kind}{more}")
    assert (answer.body, answer.complete) == (wanted, True)
    client.close()
    with Client(server.address) as other:
        until(lambda: other.get("/file-closed").body == b"true", "close() of the file")


def test_file_wrapper_of_a_file_that_is_made_when_it_is_read(client: Client) -> None:
    answer = client.get("/file?kind=proc")
    assert (answer.body, answer.complete) == (Path("/proc/version").read_bytes(), True)


def test_file_wrapper_of_a_file_that_cannot_be_read_is_an_error(client: Client) -> None:
    assert client.get("/file?kind=unreadable").status == 500


def test_file_wrapper_of_a_text_file_is_an_error(server: Server, client: Client) -> None:
    mark = server.log.mark()
    assert client.get("/file?kind=text").status == 500
    server.log.wait_for("every item must be bytes", after=mark)
    client.close()
    with Client(server.address) as other:
        until(lambda: other.get("/file-closed").body == b"true", "close() of the file")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "BREW"])
def test_methods(client: Client, method: str) -> None:
    answer = client.get("/methods", "Content-Length: 0", method=method)
    assert answer["Content-Length"] == str(len(method))
    assert answer.body == (b"" if method == "HEAD" else method.encode())


@pytest.mark.parametrize(
    "status", ["200 OK", "201 Created", "299 ", "404 Nothing here", "599 Odd one", "204 No Content"]
)
def test_statuses(client: Client, status: str) -> None:
    answer = client.get(f"/status?s={status.replace(' ', '+')}")
    assert (answer.status, answer.reason.strip()) == (int(status[:3]), status[4:].strip())


def test_fields_are_sent_as_given(client: Client) -> None:
    assert client.get("/header?n=X-Thing&v=a+b%E9c")["X-Thing"] == "a b\xe9c"
    answer = client.get("/header?n=Server&v=mine")
    assert answer.all("Server") == ["mine"]
    answer = client.get("/header?n=Date&v=Thu,+01+Jan+1970+00:00:00+GMT")
    assert answer.all("Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


@pytest.mark.parametrize(
    ("path", "events"),
    [
        ("/subclass", ["close"]),
        ("/generator?n=3&size=4", ["exhausted", "close"]),
        ("/generator?n=3&size=4&declare=12", ["exhausted", "close"]),
        ("/iterator-class", ["close"]),
        ("/iterator-class?fail=iter", ["close"]),
        ("/iterator-class?fail=next", ["close"]),
        ("/iterator-class?fail=second", ["close"]),
        ("/iterator-class?fail=close", ["close"]),
        ("/generator?n=3&size=10&declare=12", ["close"]),
    ],
)
def test_close_is_called_exactly_once(server: Server, client: Client, path: str, events: list[str]) -> None:
    _events(client)
    client.get(path)
    client.close()
    with Client(server.address) as other:
        assert _events(other) == events


def test_close_is_called_when_the_client_has_gone(server: Server) -> None:
    with Client(server.address) as first:
        _events(first)
    with Client(server.address, receive_buffer=4096) as gone:
        gone.send(request("/generator?n=2000&size=100000"))
        gone.socket.recv(1)
        gone.reset()
    with Client(server.address) as other:
        seen: list[str] = []
        while "close" not in seen:  # the generator runs on until a write fails; the test's own time limit ends this
            seen += _events(other)
        assert seen.count("close") == 1
        assert _events(other) == []


def test_head_does_not_iterate_for_nothing_and_closes(client: Client) -> None:
    assert client.get("/generator?n=3&size=4", method="HEAD").status == 200
    assert _events(client)[-1] == "close"


@pytest.mark.parametrize("path", ["/raise", "/raise-started", "/exit", "/interrupt", "/twice", "/never"])
def test_an_application_that_fails_before_its_head_is_a_500(server: Server, client: Client, path: str) -> None:
    mark = server.log.mark()
    answer = client.get(path)
    assert answer.status == 500
    assert "probe" not in answer.text
    server.log.wait_for(f"GET {path}: ", after=mark)
    if not answer.closes():
        assert client.get("/").body == b"Hello, world!"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("status-type", "status must be a str"),
        ("status-short", "status"),
        ("status-interim", "101"),
        ("headers-type", "headers must be a list"),
        ("headers-tuple", "must be a (name, value) tuple"),
        ("header-pair", "must be a (name, value) tuple"),
        ("header-type", "must be str"),
        ("header-name", "Content Type"),
        ("header-value", "X-Split"),
        ("header-unicode", "Latin-1"),
        ("header-hop", "Transfer-Encoding"),
        ("length-text", "three"),
        ("length-twice", "Content-Length"),
        ("block-str", "every item must be bytes"),
        ("block-int", "every item must be bytes"),
        ("returned-str", "str itself"),
        ("returned-bytes", "bytes itself"),
        ("returned-none", "NoneType"),
        ("returned-int", "not an iterable of bytes"),
        ("exc-info", "exc_info must be the tuple"),
    ],
)
def test_what_an_application_may_not_do_is_a_500_with_a_sentence(
    server: Server, client: Client, what: str, words: str
) -> None:
    mark = server.log.mark()
    answer = client.get(f"/bad?what={what}")
    assert answer.status == 500
    assert not answer.all("Set-Cookie")
    server.log.wait_for("GET /bad", after=mark)
    server.log.wait_for(words, after=mark)


@pytest.mark.parametrize("path", ["/raise-second", "/raise-second?declare=100", "/exc-info-late"])
def test_a_failure_after_the_head_breaks_the_answer_off(server: Server, client: Client, path: str) -> None:
    mark = server.log.mark()
    answer = client.get(path)
    assert (answer.status, answer.complete) == (200, False)
    assert answer.body == b"first block\n"
    server.log.wait_for(f"GET {path.partition('?')[0]}: ", after=mark)


def test_exc_info_replaces_the_head_before_it_is_sent(client: Client) -> None:
    answer = client.get("/exc-info")
    assert (answer.status, answer.reason, answer.body) == (503, "Replaced", b"replaced")
    assert (answer.all("X-First"), answer.all("X-Second")) == ([], ["yes"])


@pytest.mark.parametrize("kind", ["list", "generator", "write"])
def test_less_than_declared_is_visible_and_logged(server: Server, client: Client, kind: str) -> None:
    mark = server.log.mark()
    answer = client.get(f"/short?kind={kind}")
    assert answer.status == 500 or (answer.body, answer.complete) == (b"short", False)
    server.log.wait_for("shorter than the declared Content-Length", after=mark)


@pytest.mark.parametrize("kind", ["list", "generator", "write"])
def test_more_than_declared_is_cut_and_logged(server: Server, client: Client, kind: str) -> None:
    mark = server.log.mark()
    client.send(request(f"/long?kind={kind}") + request("/"))
    answer = client.response()
    assert answer.status == 500 or b"longer than ten bytes".startswith(answer.body)
    assert len(answer.body) <= 10 or answer.status == 500
    server.log.wait_for("declared Content-Length", after=mark)
    rest = client.half_close().rest()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 200 "), "surplus bytes were sent as an answer"
