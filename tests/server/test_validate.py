"""PEP 3333 as `wsgiref.validate` reads it: its checks run around an application, inside the served process."""

from __future__ import annotations

import pytest

from tests.server.client import Client, chunked, request
from tests.server.conftest import Serving

SERVING = Serving("validated.py:application")


@pytest.mark.parametrize("style", ["read", "read-some", "readline", "readlines", "iterate", "none"])
@pytest.mark.parametrize("coding", ["length", "chunked", "no-body"])
def test_the_validator_is_content(client: Client, style: str, coding: str) -> None:
    body = b"first line\nsecond line\n\nlast"
    if coding == "length":
        client.send(request(f"/{style}", "Content-Type: text/plain", method="POST", body=body))
    elif coding == "chunked":
        client.send(request(f"/{style}", "Transfer-Encoding: chunked", method="POST") + chunked(body[:15], body[15:]))
    else:
        client.send(request(f"/{style}"))
        body = b""
    answer = client.response()
    assert (answer.status, answer.body) == (200, b"" if style == "none" else body), answer.text


def test_the_validator_is_content_with_the_query_and_head(client: Client) -> None:
    assert client.get("/none?a=1&b=%20").status == 200
    assert client.get("/none", method="HEAD").status == 200
    assert client.get("/none", "X-Twice: 1", "X-Twice: 2", "X_Under: 3").status == 200


def test_the_validator_is_asked(client: Client) -> None:
    assert client.get("/wrong").status == 500, "an application that breaks the rules is not noticed"
