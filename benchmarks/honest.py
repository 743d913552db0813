"""`python -m benchmarks.honest`: honest clients, so many a second, each with a connection of its own; loopback only.

A client comes when its time has come, whether the ones before were answered or not, asks for the short answer, and is
lost when it does not have it within its patience. At the end, or when standard input ends, one JSON list goes to
standard output: for each client when it came (the monotonic clock), how long it took, and what went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass

from benchmarks.slow_app import BODY

REQUEST = b"GET / HTTP/1.1\r\nHost: honest\r\nConnection: close\r\n\r\n"
ADDRESS = "127.0.2.1"
"""From which they come: no attacker shares it, as none would with the honest clients of a real server."""
PATIENCE = 3.0
"""Seconds after which a client is lost."""
MOST_SECONDS = 330.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One honest client."""

    came: float
    took: float
    problem: str = ""
    """Empty when it was answered rightly."""


async def _visit(port: int) -> Visit:
    came = time.monotonic()
    writer: asyncio.StreamWriter | None = None
    problem = ""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(ADDRESS, 0))
            writer.write(REQUEST)
            problem = await _judged(reader)
    except TimeoutError:
        problem = f"no answer in {PATIENCE:g} s"
    except OSError as error:
        problem = type(error).__name__
    took = time.monotonic() - came
    if writer is not None:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return Visit(came, took, problem)


async def _judged(reader: asyncio.StreamReader) -> str:
    """Empty when the right answer comes. Its length is believed: not every server closes when it is asked to."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1]
        if status != b"200":
            return f"status {status.decode('latin-1')}"
        return "" if await reader.readexactly(len(BODY)) == BODY else "a wrong answer"
    except asyncio.IncompleteReadError as error:
        return "cut off" if error.partial else "closed without an answer"
    except (IndexError, asyncio.LimitOverrunError):
        return "a strange answer"


async def _visits(port: int, rate: float, seconds: float) -> list[Visit]:
    began = time.monotonic()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    tasks: list[asyncio.Task[Visit]] = []
    while not ended.is_set() and (due := began + len(tasks) / rate) < began + seconds:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), max(0.0, due - time.monotonic()))
        if not ended.is_set():
            tasks.append(asyncio.create_task(_visit(port)))
    loop.remove_reader(sys.stdin.fileno())
    return list(await asyncio.gather(*tasks))


def main() -> None:
    """`PORT RATE SECONDS`."""
    port, rate, seconds = sys.argv[1:4]
    visits = asyncio.run(_visits(int(port), float(rate), min(float(seconds), MOST_SECONDS)))
    json.dump([(each.came, each.took, each.problem) for each in visits], sys.stdout)


if __name__ == "__main__":
    main()
