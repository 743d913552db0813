"""`python -m benchmarks.sizing`: how the number of processes or threads follows the load, as a picture of a real run.

A server with an application that waits gets a crowd of clients (`benchmarks.crowd`) that comes in one step, swings, and
asks for more than the limit. The server's own status is read ten times a second. One SVG for each MPM goes to the
directory that is named; docs/sizing.md shows them.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.crowd import Plan, size_at
from benchmarks.machine import BenchmarkError
from benchmarks.picture import Level, Panel, Part, Points, Series, Zone, draw
from benchmarks.servers import ROOT, clean_environment
from benchmarks.trial import free_port
from tricorn.control.client import Conversation, NoAnswerError
from tricorn.control.messages import Request, Verb

WAIT = 0.05
"""Seconds that the application waits in each request."""
SAMPLES = 10
"""A second."""
BUCKET = 0.5
"""Seconds over which counts that flicker are averaged for the picture."""
START_SECONDS = 30.0
LIMIT = 64
OPTIONS = {
    "prefork": ("--start-servers", "6", "--min-spare-servers", "4", "--max-spare-servers", "12"),
    "event": ("--start-servers", "2", "--min-spare-threads", "4", "--max-spare-threads", "12"),
}
THREADS = {"prefork": 1, "event": 4}
UNITS = {"prefork": "processes", "event": "threads"}
OFFERED, TAKEN, IDLE, TOTAL = "#8c959f", "#1f6feb", "#2da44e", "#24292f"
EDGE, PALE_EDGE = "#cf222e", "#57606a"


def plan() -> tuple[list[tuple[float, float]], list[Part]]:
    """The size of the crowd over time, and the names of its parts."""
    step = [(0.0, 2.0), (8.0, 2.0), (8.0, 40.0), (38.0, 40.0), (38.0, 4.0), (85.0, 4.0)]
    swing = [(85 + second, 20 - 14 * math.cos(second * math.tau / 9)) for second in range(55)]
    end = [(140.0, 6.0), (140.0, 80.0), (155.0, 80.0), (155.0, 4.0), (190.0, 4.0)]
    parts = [
        Part("", 0, 8),
        Part("a step", 8, 38),
        Part("and back", 38, 85),
        Part("a swing", 85, 140),
        Part("overload", 140, 155),
        Part("calm", 155, 190),
    ]
    return [*step, *swing, *end], parts


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server said of itself at one moment."""

    second: float
    capacity: Mapping[str, Any]
    processes: int


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0: drawn; 1: cannot be measured here."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=__doc__)
    parser.add_argument("--mpm", choices=sorted(OPTIONS), action="append", help="only this one (can be repeated)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "pictures", help="where the pictures go")
    parser.add_argument("--samples", type=Path, help="a directory that gets the samples as JSON as well")
    options = parser.parse_args(argv)
    try:
        for mpm in options.mpm or OPTIONS:
            samples, account = measure(mpm)
            options.output.mkdir(parents=True, exist_ok=True)
            (options.output / f"sizing-{mpm}.svg").write_text(picture(mpm, samples), encoding="utf-8")
            if options.samples is not None:
                rows = [{"second": each.second, **each.capacity} for each in samples]
                (options.samples / f"sizing-{mpm}.json").write_text(json.dumps({"samples": rows, "crowd": account}))
            print(told(mpm, samples, account), flush=True)
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    return 0


def measure(mpm: str) -> tuple[list[Sample], Mapping[str, Any]]:
    """One run: the samples, and what the crowd says of its answers."""
    with tempfile.TemporaryDirectory(prefix="tricorn-sizing-") as name:
        directory = Path(name)
        control, port = directory / "control", free_port()
        threads = () if mpm == "prefork" else ("--threads-per-child", str(THREADS[mpm]))
        command = [sys.executable, "-m", "tricorn", "serve", "benchmarks.waiting_app:application", "--mpm", mpm]
        command += [*OPTIONS[mpm], *threads, "--max-request-workers", str(LIMIT)]
        command += ["--bind", f"127.0.0.1:{port}", "--control-socket", str(control)]
        environment = clean_environment(*sys.path) | {"WAIT_SECONDS": str(WAIT)}
        log = directory / "log"
        with log.open("wb") as sink:
            server = subprocess.Popen(command, cwd=directory, env=environment, stderr=sink, stdout=sink)
            try:
                return _offered(server, control, port)
            except NoAnswerError as error:
                raise BenchmarkError(f"{error}; the server's log: {log.read_text()[-600:]}") from error
            finally:
                server.terminate()
                server.wait(60)


def _offered(server: subprocess.Popen[bytes], control: Path, port: int) -> tuple[list[Sample], Mapping[str, Any]]:
    deadline = time.monotonic() + START_SECONDS
    while not _serves(control):
        if server.poll() is not None or time.monotonic() > deadline:
            raise NoAnswerError("the server did not start")
        time.sleep(0.1)
    wanted, _ = plan()
    crowd = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.crowd", "127.0.0.1", str(port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if crowd.stdin is None or crowd.stdout is None:
            raise BenchmarkError("the pipes asked for were not made")
        json.dump(wanted, crowd.stdin)
        crowd.stdin.close()
        samples = _sampled(control, wanted[-1][0])
        return samples, json.loads(crowd.stdout.read())
    finally:
        crowd.kill()
        crowd.wait()


def _serves(control: Path) -> bool:
    try:
        return bool(_status(control)["children"])
    except NoAnswerError:
        return False


def _sampled(control: Path, seconds: float) -> list[Sample]:
    began = time.monotonic()
    samples = []
    while (second := time.monotonic() - began) < seconds:
        told = _status(control)
        samples.append(Sample(second, told["capacity"], len(told["children"])))
        time.sleep(max(0.0, began + (len(samples) / SAMPLES) - time.monotonic()))
    return samples


def _status(control: Path) -> Mapping[str, Any]:
    with Conversation(control) as conversation:
        done = conversation.ask(Request(Verb.STATUS), lambda _: None, time.monotonic() + 10)
    return {} if done is None else done.data


def picture(mpm: str, samples: Sequence[Sample]) -> str:
    """The run as SVG: what was offered and what there was, above; how much of it was idle, below."""
    wanted, parts = plan()
    seconds = wanted[-1][0]
    first = samples[0].capacity
    offered = [(number * BUCKET, float(size_at(wanted, number * BUCKET))) for number in range(int(seconds / BUCKET))]
    total = [(each.second, float(each.capacity["units"])) for each in samples]
    unit = UNITS[mpm]
    above = Panel(
        axis=f"requests, {unit}",
        height=260,
        series=(
            Series("offered requests", offered, OFFERED, width=1.4, filled=True),
            Series(f"taken {unit}", _mean(samples, "taken"), TAKEN),
            Series(f"all {unit}", total, TOTAL, width=2.2, stepped=True),
        ),
        levels=(Level(f"max_request_workers {LIMIT}", LIMIT, EDGE),),
    )
    low, high = float(first["min_spare"]), float(first["max_spare"])
    kind = "servers" if mpm == "prefork" else "threads"
    below = Panel(
        axis=f"idle {unit}",
        height=150,
        series=(Series(f"idle {unit}", _mean(samples, "idle"), IDLE),),
        levels=(
            Level(f"min_spare_{kind} {low:g}", low, PALE_EDGE),
            Level(f"max_spare_{kind} {high:g}", high, PALE_EDGE),
        ),
        zone=Zone(low, high, "#dafbe1"),
    )
    threads = f", {THREADS[mpm]} threads in each child" if mpm != "prefork" else ""
    return draw(
        f"Sizing under the {mpm} MPM",
        f"Each request waits {WAIT * 1000:g} ms. The server's own status, read {SAMPLES} times a second{threads}.",
        [above, below],
        parts,
        seconds,
    )


def _mean(samples: Sequence[Sample], key: str) -> Points:
    buckets: dict[int, list[float]] = {}
    for sample in samples:
        buckets.setdefault(int(sample.second / BUCKET), []).append(float(sample.capacity[key]))
    return [((number + 0.5) * BUCKET, sum(values) / len(values)) for number, values in sorted(buckets.items())]


def told(mpm: str, samples: Sequence[Sample], account: Mapping[str, Any]) -> str:
    """The run in a few lines: answers, losses, bounds, and how soon the step was met."""
    wanted: Plan = plan()[0]
    units = [int(each.capacity["units"]) for each in samples]
    changes = sum(a != b for a, b in pairwise(units))
    swing = [int(each.capacity["units"]) for each in samples if 95 <= each.second < 140]
    met = next((each.second - 8 for each in samples if each.second >= 8 and each.capacity["units"] >= 44), None)
    return (
        f"{mpm}: {account['answered']} answered, lost {account['lost'] or 'none'}; "
        f"units {min(units)} to {max(units)} (limit {LIMIT}, offered at most {max(size for _, size in wanted):g}); "
        f"{changes} changes, {sum(a != b for a, b in pairwise(swing))} of them in the swing from "
        f"its second turn on; 44 units {'never' if met is None else f'{met:.1f} s'} after the step"
    )


if __name__ == "__main__":
    sys.exit(main())
