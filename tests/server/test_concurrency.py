"""Many clients at once: answers are never mixed up, and clients that send rubbish change nothing for the others."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.server.client import Client, chunked, request
from tests.server.conftest import Serving
from tricorn.testing import Server

SERVING = Serving("plain.py:application", options=("--request-memory=2K", "--response-memory=8K"))
CLIENTS = {"prefork": 4, "worker": 8, "event": 24}


def _talk(server: Server, seed: int) -> int:
    """One client with a mix of requests, each of which only its own answer fits; the number of answers.

    A connection may end with an answer, so that the next one goes to a child with more room, but not with requests on
    their way.
    """
    chance = random.Random(seed)
    answers = 0
    with ExitStack() as stack:
        client = stack.enter_context(Client(server.address))
        for turn in range(12):
            batch, wanted = b"", []
            for number in range(chance.randint(1, 4)):
                word = f"{seed}-{turn}-{number}"
                body = word.encode() * chance.choice([0, 1, 10, 2000])
                match chance.randrange(5):
                    case 0:
                        batch += request(f"/echo?{word}")
                        wanted.append(f"GET {word} ".encode())
                    case 1:
                        batch += request(f"/echo?{word}", method="POST", body=body)
                        wanted.append(f"POST {word} ".encode() + body)
                    case 2:
                        coding = "Transfer-Encoding: chunked"
                        pieces = [piece for piece in (body[:5], body[5:]) if piece]
                        batch += request(f"/echo?{word}", coding, method="PUT") + chunked(*pieces)
                        wanted.append(f"PUT {word} ".encode() + body)
                    case 3:
                        batch += request("/stream")
                        wanted.append(b"".join(b"block %d\n" % block for block in range(5)))
                    case _:
                        batch += request("/sleep?0.01")
                        wanted.append(b"slept")
            cut = chance.randrange(len(batch))
            client.send(batch[:cut]).send(batch[cut:])
            for body in wanted:
                answer = client.response()
                assert (answer.status, answer.complete, answer.body) == (200, True, body)
                answers += 1
            if answer.closes():
                client = stack.enter_context(Client(server.address))
    return answers


def test_answers_are_not_mixed_up(server: Server, mpm: str) -> None:
    count = CLIENTS[mpm]
    with ThreadPoolExecutor(count) as pool:
        answers = sum(pool.map(lambda seed: _talk(server, seed), range(count)))
    assert answers >= 12 * count


def _rubbish(chance: random.Random) -> bytes:
    whole = request("/echo?x", "X-Field: value", method="POST", body=b"abc") + request("/")
    match chance.randrange(4):
        case 0:
            return chance.randbytes(chance.randint(1, 300))
        case 1:  # a byte changed
            place = chance.randrange(len(whole))
            return whole[:place] + chance.randbytes(1) + whole[place + 1 :]
        case 2:  # a piece missing
            start = chance.randrange(len(whole))
            return whole[:start] + whole[start + chance.randint(1, 20) :]
        case _:  # a piece twice
            start = chance.randrange(len(whole))
            return whole[: start + chance.randint(1, 20)] + whole[start:]


@pytest.mark.parametrize("seed", range(3))
def test_rubbish_disturbs_nobody(server: Server, seed: int) -> None:
    chance = random.Random(seed)
    before = server.child_pids()
    with Client(server.address) as witness:
        for number in range(60):
            with Client(server.address) as client:
                client.send(_rubbish(chance)).half_close()
                rest = client.rest()
                assert rest == b"" or rest.startswith(b"HTTP/1.1 "), rest
            if number % 10 == 0:
                assert witness.get(f"/echo?{number}").body == b"GET %d " % number
    assert server.child_pids() == before, "a child did not survive what a client sent"
