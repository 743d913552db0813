from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.control.messages import (
    MOST,
    AnswerError,
    Done,
    Outcome,
    Progress,
    Request,
    RequestError,
    Verb,
    encode_answer,
    encode_request,
    parse_answer,
    parse_request,
)

REQUESTS = [
    *(Request(verb) for verb in Verb if verb not in (Verb.RESIZE, Verb.RETIRE)),
    Request(Verb.STOP, now=True),
    Request(Verb.RESIZE, most=MOST),
    Request(Verb.RETIRE, child=0),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_a_request_arrives_as_it_was_sent(request_: Request) -> None:
    line = encode_request(request_)
    assert line.count(b"\n") == 1
    assert parse_request(line) == request_


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b"", "one line with a JSON object"),
        (b"[1]", "one line with a JSON object"),
        (b"\xff\xfe", "one line with a JSON object"),
        (b"[" * 8000, "one line with a JSON object"),
        (b'{"verb": ' + b"9" * 8000 + b"}", "one line with a JSON object"),
        (b'{"verb": ["stop"]}', "one line with a JSON object"),
        (b'{"verb": "explode"}', "there are status, reload, stop"),
        (b'{"verb": "status", "x": 1}', 'no "x"'),
        (b'{"verb": "status", "arguments": []}', '"arguments" is a JSON object'),
        (b'{"verb": "status", "arguments": {"now": true}}', 'status has no argument "now"'),
        (b'{"verb": "stop", "arguments": {"now": 1}}', 'stop needs "now", true or false'),
        (b'{"verb": "resize"}', 'resize needs "max", a whole number'),
        (b'{"verb": "resize", "arguments": {"max": true}}', "a whole number"),
        (b'{"verb": "resize", "arguments": {"max": NaN}}', "a whole number"),
        (b'{"verb": "resize", "arguments": {"max": 0}}', '"max" is from 1 to'),
        (b'{"verb": "retire", "arguments": {"child": -1}}', '"child" is from 0 to'),
        (b'{"verb": "retire", "arguments": {"child": 99999999999999999999}}', '"child" is from 0 to'),
    ],
)
def test_a_request_that_makes_no_sense_gets_a_sentence(line: bytes, part: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(line)
    assert part in str(caught.value)


def test_an_argument_that_is_null_is_left_out() -> None:
    assert parse_request(b'{"verb": "stop", "arguments": {"now": null}}') == Request(Verb.STOP)


@given(st.binary())
def test_bytes_are_a_request_or_a_request_error(data: bytes) -> None:
    with contextlib.suppress(RequestError):
        parse_request(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@given(st.fixed_dictionaries({"verb": st.sampled_from([verb.value for verb in Verb])}, optional={"arguments": JSON}))
def test_json_is_a_request_or_a_request_error(document: dict[str, object]) -> None:
    with contextlib.suppress(RequestError):
        parse_request(json.dumps(document).encode())


@pytest.mark.parametrize(
    "answer", [Progress("a\nb"), Done(Outcome(0, "")), Done(Outcome(3, "é\x1b"), {"a": [1, None]})]
)
def test_an_answer_arrives_as_it_was_sent(answer: Progress | Done) -> None:
    line = encode_answer(answer)
    assert line.count(b"\n") == 1
    assert parse_answer(line) == answer


@pytest.mark.parametrize(
    "line",
    [b"", b"SSH-2.0", b"{}", b'{"done": {}}', b'{"done": {"code": -1, "text": "", "data": {}}}', b'{"progress": 3}'],
)
def test_an_answer_of_something_else_is_an_error(line: bytes) -> None:
    with pytest.raises(AnswerError):
        parse_answer(line)
