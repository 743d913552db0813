"""Connections by raw sockets: persistence, order, methods without bodies, cut and broken connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.server.client import Client, chunked, request
from tests.server.conftest import Serving
from tricorn.testing import Server

SERVING = Serving("plain.py:application", options=("--limit-request-body", "100000"))

Connect = Callable[..., Client]


def test_connection_is_kept_for_further_requests(client: Client) -> None:
    answers = [client.get("/") for _ in range(5)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"Hello")] * 5
    assert not any(answer.closes() for answer in answers)


def test_an_answer_has_date_and_server(client: Client) -> None:
    answer = client.get("/")
    assert answer["Server"] == "tricorn"
    assert answer["Date"].endswith(" GMT")
    assert answer["Content-Length"] == "5"


def test_connection_close_is_honoured(client: Client) -> None:
    answer = client.get("/", "Connection: close")
    assert answer.closes()
    assert client.closed()


def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    wanted = [f"{number}".encode() for number in range(20)]
    client.send(b"".join(request(f"/echo?{number.decode()}") for number in wanted))
    assert [client.response().body for _ in wanted] == [b"GET %b " % number for number in wanted]


def test_pipelined_requests_with_bodies_keep_apart(client: Client) -> None:
    client.send(
        request("/echo", method="POST", body=b"GET /not-a-request HTTP/1.1\r\n\r\n")
        + request("/echo", "Transfer-Encoding: chunked", method="POST")
        + chunked(b"two ", b"chunks")
        + request("/none", method="PUT", body=b"unread by the application")
        + request("/echo", method="DELETE")
    )
    assert client.response().body == b"POST  GET /not-a-request HTTP/1.1\r\n\r\n"
    assert client.response().body == b"POST  two chunks"
    assert client.response().status == 204
    assert client.response().body == b"DELETE  "


def test_a_slow_request_does_not_let_the_next_overtake(client: Client) -> None:
    client.send(request("/sleep?0.1") + request("/"))
    assert [client.response().body, client.response().body] == [b"slept", b"Hello"]


def test_head_has_the_head_of_get_and_no_body(client: Client) -> None:
    answer = client.get("/", method="HEAD")
    assert (answer["Content-Length"], answer.body) == ("5", b"")
    assert client.get("/big?1000", method="HEAD").status == 200
    assert client.get("/").body == b"Hello", "what followed HEAD is not the next answer"


@pytest.mark.parametrize(("path", "status"), [("/none", 204), ("/304", 304)])
def test_statuses_without_a_body_keep_the_connection(client: Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status == status
    assert not answer.all("Transfer-Encoding")
    assert status != 204 or not answer.all("Content-Length")
    assert client.get("/").body == b"Hello"


def test_an_answer_of_unknown_length_is_chunked_and_keeps_the_connection(client: Client) -> None:
    answer = client.get("/stream")
    assert (answer.framing, answer.complete) == ("chunked", True)
    assert answer.body == b"".join(b"block %d\n" % number for number in range(5))
    assert client.get("/").body == b"Hello"


def test_http_10_closes_unless_asked(client: Client) -> None:
    answer = client.get("/", version="1.0")
    assert answer.body == b"Hello"
    assert client.closed()


def test_http_10_is_kept_when_asked(client: Client) -> None:
    for _ in range(3):
        answer = client.get("/", "Connection: keep-alive", version="1.0")
        assert answer["Connection"].lower() == "keep-alive"
        assert answer.body == b"Hello"


def test_http_10_gets_no_chunks(client: Client) -> None:
    answer = client.get("/stream", "Connection: keep-alive", version="1.0")
    assert (answer.framing, answer.body.count(b"\n")) == ("close", 5)


def test_http_10_without_host(client: Client) -> None:
    client.send(b"GET /echo?x HTTP/1.0\r\n\r\n")
    assert client.response().body == b"GET x "


def test_half_close_after_the_request_still_gets_the_answer(client: Client) -> None:
    client.send(request("/sleep?0.1")).half_close()
    assert client.response().body == b"slept"
    assert client.closed()


def test_half_close_after_several_requests_gets_all_answers(client: Client) -> None:
    client.send(request("/echo?1") + request("/echo?2") + request("/echo?3")).half_close()
    assert [client.response().body for _ in range(3)] == [b"GET 1 ", b"GET 2 ", b"GET 3 "]
    assert client.closed()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GE",
        b"GET / HTTP/1.1\r\nHost: a",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
    ],
    ids=["nothing", "method", "head", "body", "chunk"],
)
def test_half_close_inside_a_request_is_closed_without_calling_the_application(client: Client, begun: bytes) -> None:
    client.send(begun).half_close()
    rest = client.rest()
    assert rest == b"" or rest.startswith(b"HTTP/1.1 400 "), rest


STAGES = {
    "accepted": b"",
    "head": b"GET / HTTP/1.1\r\nHo",
    "expecting": b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    "body": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegun",
    "chunk": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
    "handler": request("/sleep?0.05"),
    "answer": request("/big?3000000"),
    "rejected": b"GET / HTTP/9.9\r\n\r\n" + b"x" * 1000,
    "pipelined": request("/sleep?0.05") * 10,
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_broken_connection_disturbs_nobody(server: Server, connect: Connect, stage: str, how: str) -> None:
    witness = connect()
    assert witness.get("/").body == b"Hello"
    for _ in range(3):
        broken = Client(server.address).send(STAGES[stage])
        if stage == "answer":
            broken.socket.recv(1)
        if how == "reset":
            broken.reset()
        else:
            broken.close()
    assert witness.get("/").body == b"Hello"
    with Client(server.address) as late:
        assert late.get("/").body == b"Hello"


def test_a_connection_kept_by_the_server_may_be_reset(connect: Connect) -> None:
    client = connect()
    assert client.get("/").body == b"Hello"
    client.reset()
    assert connect().get("/").body == b"Hello"


def test_a_head_that_comes_byte_by_byte(client: Client) -> None:
    client.trickle(request("/echo?slow", "X-Field: value", method="GET"))
    assert client.response().body == b"GET slow "
    client.trickle(request("/echo?again"))
    assert client.response().body == b"GET again "


def test_a_body_that_comes_byte_by_byte(client: Client) -> None:
    client.trickle(request("/echo", method="POST", body=b"one by one"))
    assert client.response().body == b"POST  one by one"
    client.trickle(request("/echo", "Transfer-Encoding: chunked", method="POST") + chunked(b"one", b" by ", b"one"))
    assert client.response().body == b"POST  one by one"


def test_every_cut_of_two_pipelined_requests(client: Client) -> None:
    data = request("/echo?a", method="POST", body=b"first") + request("/echo?b")
    for cut in range(1, len(data), 3):
        client.send(data[:cut])
        client.send(data[cut:])
        assert client.response().body == b"POST a first"
        assert client.response().body == b"GET b "


def test_continue_is_sent_before_the_body(client: Client) -> None:
    client.send(request("/echo", "Expect: 100-continue", "Content-Length: 4", method="POST"))
    assert client.interim().status == 100
    client.send(b"body")
    answer = client.response()
    assert (answer.body, answer.interim) == (b"POST  body", [])


def test_continue_is_not_sent_when_the_body_is_there(client: Client) -> None:
    client.send(request("/echo", "Expect: 100-continue", method="POST", body=b"body"))
    answer = client.response()
    assert answer.body == b"POST  body"
    assert answer.interim in ([], [100]), "RFC 9110 10.1.1 allows to omit it"


def test_continue_is_not_sent_for_a_refused_body(client: Client) -> None:
    client.send(request("/echo", "Expect: 100-continue", "Content-Length: 100001", method="POST"))
    answer = client.response()
    assert (answer.status, answer.interim) == (413, [])
    assert answer.closes()


def test_another_expectation_fails(client: Client) -> None:
    client.send(request("/echo", "Expect: a-miracle", method="POST", body=b"x"))
    assert client.response().status == 417


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_a_client_that_goes_on_sending_gets_the_413(client: Client, announced: bool) -> None:
    block = b"x" * 65536
    if announced:
        client.send(request("/count", f"Content-Length: {200 * len(block)}", method="POST"))
    else:
        client.send(request("/count", "Transfer-Encoding: chunked", method="POST"))
        block = b"10000\r\n" + block + b"\r\n"
    sent = 0
    try:
        for _ in range(64):
            client.send(block)
            sent += len(block)
    except (BrokenPipeError, ConnectionResetError):
        assert sent > 1_000_000, "the server gave up on a client that was still sending too early"
    answer = client.response()
    assert answer.status == 413
    assert answer.closes()


def test_an_unread_body_does_not_become_the_next_request(client: Client) -> None:
    client.send(request("/", method="POST", body=b"GET /stolen HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert client.response().body == b"Hello"
    assert client.get("/echo?next").body == b"GET next "


def test_many_connections_one_after_another(server: Server) -> None:
    for _ in range(200):
        with Client(server.address) as client:
            assert client.get("/", "Connection: close").body == b"Hello"


def test_blank_lines_before_a_request_are_skipped(client: Client) -> None:
    client.send(b"\r\n" + request("/"))
    assert client.response().body == b"Hello"


def test_a_subprocess_of_the_application_inherits_no_socket(client: Client) -> None:
    assert b"socket:" not in client.get("/spawn").body
