"""The client side: is the right answer given, and how many of them per second under wrk."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.app import BODY
from benchmarks.machine import BenchmarkError, pinned

SCRIPT = Path(__file__).with_name("wrk_result.lua")
GRACE_SECONDS = 15.0
"""How much longer than asked wrk may take before it is ended."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk counted."""

    requests: int
    seconds: float
    connect: int
    read: int
    write: int
    status: int
    """Answers of 400 and above."""
    timeout: int
    """Answers that came after more than two seconds."""
    p50_us: int
    p99_us: int
    newcomer_served: bool
    """Whether a fresh connection, made in the middle of the run, was answered before its end."""

    @property
    def errors(self) -> int:
        """Everything that went wrong."""
        return self.connect + self.read + self.write + self.status + self.timeout


def require_wrk() -> str:
    """Where wrk is; an error that says how to get it if it is not there."""
    path = shutil.which("wrk")
    if path is None:
        raise BenchmarkError(
            "the load generator wrk is missing: install the Debian package wrk, or build github.com/wg/wrk"
        )
    return path


def run_wrk(wrk: str, port: int, *, connections: int, seconds: int, core: int) -> Load:
    """Load 127.0.0.1:`port` from `core` over so many kept-alive connections, and knock in the middle as one more."""
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}/"]
    with pinned(core):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(seconds / 2)
        # wrk does not tell of connections that were never answered: a thread or process per connection leaves them waiting.
        newcomer_served = wrong_answer(port, timeout=seconds / 2) is None
        output, _ = process.communicate(timeout=seconds + GRACE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"wrk did not end {GRACE_SECONDS:.0f} seconds after its time") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    for line in output.splitlines():
        if line.startswith("result "):
            return Load(**json.loads(line.removeprefix("result ")), newcomer_served=newcomer_served)
    raise BenchmarkError(f"wrk gave no result: {output.strip()[-200:]}")


def wrong_answer(port: int, timeout: float = 3.0) -> str | None:
    """None if one fresh connection gets 200 and the thirteen bytes; else what came instead."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({str(error) or type(error).__name__})"
    finally:
        connection.close()
    if response.status != 200 or body != BODY:
        return f"status {response.status} with {len(body)} bytes {body[:40]!r}"
    return None
