"""`python -m benchmarks.crowd`: a crowd of clients whose size follows a plan, in a process of its own.

Each visitor has one kept connection and sends one request after the other. When the plan says fewer, the youngest leave
with their answer; when it says more, new ones come. The plan is a JSON list of [second, size] on standard input, between
which the size changes linearly; two entries with the same second are a step. At the end a JSON object goes to standard
output: what was answered, what was lost and how, and how long the answers took.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

TICK = 0.02
"""Seconds between two looks at the plan."""
PATIENCE = 20.0
"""Seconds after which an answer is lost."""
REQUEST = b"GET / HTTP/1.1\r\nHost: crowd\r\n\r\n"
SLOT = 1.0
"""Seconds whose answers are summed up together."""

Plan = Sequence[tuple[float, float]]


def size_at(plan: Plan, second: float) -> int:
    """How many the plan wants at this second; after its end, as at its end."""
    before = plan[0]
    for entry in plan:
        if entry[0] > second:
            (start, low), (end, high) = before, entry
            return round(low + (high - low) * (second - start) / (end - start)) if end > start else round(high)
        before = entry
    return round(before[1])


@dataclass
class Account:
    """What became of all requests. Lists have one entry for each SLOT."""

    answered: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    seconds: list[list[float]] = field(default_factory=list)

    def answer(self, at: float, took: float) -> None:
        """One answer, so long after the beginning, that took so long."""
        self.answered += 1
        while len(self.seconds) <= int(at / SLOT):
            self.seconds.append([])
        self.seconds[int(at / SLOT)].append(took)

    def as_json(self) -> str:
        """Numbers of each slot instead of each answer."""
        slots = [
            {"answers": len(taken), "p50": _share(taken, 0.5), "p99": _share(taken, 0.99)} for taken in self.seconds
        ]
        return json.dumps({**asdict(self), "seconds": slots})


def _share(values: list[float], share: float) -> float | None:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else None


class Crowd:
    """The visitors of one server."""

    def __init__(self, host: str, port: int, plan: Plan) -> None:
        self._host, self._port, self._plan = host, port, plan
        self._began = 0.0
        self._wanted = 0
        self.account = Account()

    async def visit(self) -> Account:
        """From the first second of the plan to its last."""
        self._began = time.monotonic()
        visitors: list[asyncio.Task[None]] = []
        while (second := time.monotonic() - self._began) < self._plan[-1][0]:
            self._wanted = size_at(self._plan, second)
            visitors = [visitor for visitor in visitors if not visitor.done()]
            present = len(visitors)
            visitors += [asyncio.create_task(self._visitor(number)) for number in range(present, self._wanted)]
            await asyncio.sleep(TICK)
        self._wanted = 0
        await asyncio.gather(*visitors)
        return self.account

    async def _visitor(self, number: int) -> None:
        while number < self._wanted:
            try:
                await self._stay(number)
            except (OSError, EOFError, TimeoutError) as error:
                self.account.lost[type(error).__name__] += 1
                await asyncio.sleep(TICK)

    async def _stay(self, number: int) -> None:
        """One connection, from its beginning to its end."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            # A connection that the server ended while it waited is no loss: nothing had been asked.
            while number < self._wanted and not reader.at_eof():
                asked = time.monotonic()
                writer.write(REQUEST)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                if not head.startswith(b"HTTP/1.1 200 ") or length is None:
                    self.account.lost[head.split(b"\r\n")[0].decode("latin-1")] += 1
                    return
                await asyncio.wait_for(reader.readexactly(int(length[1])), PATIENCE)
                answered = time.monotonic()
                self.account.answer(answered - self._began, answered - asked)
                if re.search(rb"(?i)connection: *close", head):
                    return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def main() -> int:
    """`crowd HOST PORT < plan`."""
    host, port = sys.argv[1], int(sys.argv[2])
    plan = [(float(second), float(size)) for second, size in json.load(sys.stdin)]
    account = asyncio.run(Crowd(host, port, plan).visit())
    print(account.as_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
