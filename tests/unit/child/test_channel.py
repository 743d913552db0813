from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.child.channel import LONGEST, Channel, ProtocolError
from tricorn.child.messages import FROM_CHILD, Begun, Failed, FromChild, Leaving, Ready, ToChild
from tricorn.template.messages import FROM_TEMPLATE, Forked, FromTemplate, ToTemplate, Unsafe

Ends = tuple[socket.socket, Channel[FromChild, ToChild]]


@pytest.fixture
def ends() -> Iterator[Ends]:
    theirs, ours = socket.socketpair()
    channel: Channel[FromChild, ToChild] = Channel(ours, FROM_CHILD)
    yield theirs, channel
    theirs.close()
    channel.close()


def framed(body: object) -> bytes:
    text = json.dumps(body).encode()
    return struct.pack("!I", len(text)) + text


def test_records_arrive_as_they_were_sent(ends: Ends) -> None:
    theirs, channel = ends
    sender: Channel[ToChild, FromChild] = Channel(theirs, ())
    records: list[FromChild] = [Begun(7), Ready(), Leaving("why"), Failed(3, "a\nb\u2028\x00")]
    for record in records:
        sender.send(record)
    assert channel.receive() == records
    assert channel.receive() == []


@given(st.lists(st.integers(1, 9), max_size=30))
def test_any_cutting_of_the_bytes_gives_the_same_records(cuts: list[int]) -> None:
    theirs, ours = socket.socketpair()
    channel: Channel[FromChild, ToChild] = Channel(ours, FROM_CHILD)
    data = framed({"kind": "Begun", "pid": 1}) + framed({"kind": "Leaving", "reason": "x"})
    received = []
    for cut in [*cuts, len(data)]:
        theirs.sendall(data[:cut])
        data = data[cut:]
        received += channel.receive()
    assert received == [Begun(1), Leaving("x")]
    theirs.close()
    channel.close()


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!I", LONGEST + 1),
        struct.pack("!I", 2) + b"{]",
        struct.pack("!I", 2) + b"\xff\xff",
        struct.pack("!I", 100_000) + b"[" * 100_000,
        framed([]),
        framed({"kind": "Explode"}),
        framed({"kind": ["Ready"]}),
        framed({"kind": "Begun"}),
        framed({"kind": "Begun", "pid": "7"}),
        framed({"kind": "Begun", "pid": True}),
        framed({"kind": "Begun", "pid": 2**31}),
        framed({"kind": "Failed", "code": 1, "text": None}),
    ],
)
def test_what_is_no_record_is_refused(ends: Ends, data: bytes) -> None:
    theirs, channel = ends
    theirs.sendall(data)
    with pytest.raises(ProtocolError):
        channel.receive()


def test_the_end_is_seen_after_the_last_words(ends: Ends) -> None:
    theirs, channel = ends
    theirs.sendall(framed({"kind": "Leaving", "reason": "x"}))
    theirs.close()
    assert (channel.receive(), channel.closed) == ([Leaving("x")], True)


def test_descriptors_travel_with_their_record() -> None:
    theirs, ours = socket.socketpair()
    sender: Channel[ToTemplate, FromTemplate] = Channel(theirs, ())
    receiver: Channel[FromTemplate, ToTemplate] = Channel(ours, FROM_TEMPLATE, carries=True)
    reading, writing = os.pipe()
    sender.send(Unsafe(("a", "b")))
    sender.send(Forked(0, 7, pinned=True), [writing])
    os.close(writing)
    assert receiver.receive() == [Unsafe(("a", "b")), Forked(0, 7, pinned=True)]
    received = receiver.take_descriptor()
    assert not os.get_inheritable(received)
    os.write(received, b"x")
    assert os.read(reading, 1) == b"x"
    with pytest.raises(ProtocolError):
        receiver.take_descriptor()
    os.close(received)
    os.close(reading)
    sender.close()
    receiver.close()


def test_a_peer_that_does_not_read_blocks_nobody() -> None:
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    channel: Channel[FromChild, FromChild] = Channel(ours, FROM_CHILD)
    with pytest.raises(BlockingIOError):
        while True:
            channel.send(Failed(1, "x" * 60_000))
    theirs.close()
    channel.close()


def test_descriptors_that_nobody_takes_are_not_kept() -> None:
    theirs, ours = socket.socketpair()
    sender: Channel[ToChild, FromChild] = Channel(theirs, ())
    listener: Channel[FromChild, ToChild] = Channel(ours, FROM_CHILD)
    before = len(os.listdir("/dev/fd"))
    for _ in range(100):
        sender.send(Ready(), [0])
    assert len(listener.receive()) == 100
    assert len(os.listdir("/dev/fd")) == before, "a channel of records that carry none"
    carrying: Channel[FromChild, ToChild] = Channel(ours, FROM_CHILD, carries=True)
    for _ in range(100):
        sender.send(Ready(), [0])
    with pytest.raises(ProtocolError):
        while True:
            carrying.receive()
    assert len(os.listdir("/dev/fd")) <= before + 66, "a few are received before their records are looked at"
    sender.close()
    carrying.close()
