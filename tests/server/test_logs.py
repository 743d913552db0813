"""The access log: one line for each answer, with what the answer was."""

from __future__ import annotations

import json
import re

from tests.server.client import Client, request
from tests.server.conftest import Serving, Start
from tricorn.testing import Server

SERVING = Serving("plain.py:application", options=("--access-log=-",))


def test_the_common_format(start: Start) -> None:
    server = start(Serving("plain.py:application", options=("--access-log=-", "--access-log-format=common")))
    with Client(server.address) as client:
        client.get("/echo?a=1")
    line = server.output.wait_for("/echo")
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /echo\?a=1 HTTP/1\.1" 200 \d+', line
    ), line


def test_a_format_of_ones_own(start: Start) -> None:
    form = '{"method":"%m","path":"%U","status":%s,"size":%B,"agent":"%{User-Agent}i"}'
    server = start(Serving("plain.py:application", options=("--access-log=-", f"--access-log-format={form}")))
    with Client(server.address) as client:
        client.get("/sized?1000", "User-Agent: it's me")
    assert json.loads(server.output.wait_for("/sized")) == {
        "method": "GET",
        "path": "/sized",
        "status": 200,
        "size": 1000,
        "agent": "it's me",
    }


def test_gunicorns_atoms_are_understood(start: Start) -> None:
    form = "%(m)s %(U)s %(s)s %({user-agent}i)s"
    server = start(Serving("plain.py:application", options=("--access-log=-", f"--access-log-format={form}")))
    with Client(server.address) as client:
        client.get("/none", "User-Agent: me")
    server.output.wait_for("GET /none 204 me")


def test_every_answer_has_a_line_in_order(server: Server, client: Client) -> None:
    mark = server.output.mark()
    client.send(b"".join(request(f"/echo?{number}") for number in range(10)))
    assert all(client.response().status == 200 for _ in range(10))
    server.output.wait_for("/echo?9", after=mark)
    lines = server.output.lines()[mark:]
    assert re.findall(r"/echo\?(\d)", "\n".join(lines)) == [str(number) for number in range(10)]


def test_a_refusal_has_a_line(server: Server, client: Client) -> None:
    mark = server.output.mark()
    client.send(b"GET /refused HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
    assert client.response().status == 400
    server.output.wait_for(" 400 ", after=mark)


def test_a_client_cannot_forge_a_line(server: Server, client: Client) -> None:
    mark = server.output.mark()
    client.get('/echo?"%0a', 'User-Agent: a" 200\x1b', 'Referer: "\\')
    client.close()
    with Client(server.address) as other:
        other.get("/echo?end")
    server.output.wait_for("/echo?end", after=mark)
    text = "\n".join(server.output.lines()[mark:])
    assert "\x1b" not in text
    assert 'a" 200' not in text
