"""`python -m benchmarks.run`: CPU time per request and memory of Tricorn beside other servers, all in one run.

Only the order of things is here: choose, install, interleave the trials, print. docs/benchmarks.md tells the method.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from benchmarks import comparisons, machine, memory, peers, report
from benchmarks.comparisons import Case
from benchmarks.load import require_wrk
from benchmarks.machine import BenchmarkError
from benchmarks.memory import Memory
from benchmarks.process_tree import adopt_orphans, kill_descendants
from benchmarks.servers import ROOT, SERVERS, find_tricorn
from benchmarks.trial import Bench, Trial, TrialError
from benchmarks.trial import run as run_trial


@dataclass(slots=True)
class Run:
    """What a run has found so far; complete or not, it can be reported at any moment."""

    rounds: dict[Case, list[Trial | None]] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0: measured, whatever the figures; 1: cannot be measured here; 130, 143: interrupted."""
    options = _parse(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    started = time.monotonic()
    run = Run()
    try:
        adopt_orphans()
        cores, wrk = machine.choose_cores(), require_wrk()
        warning = machine.load_warning(cores)
        if warning is not None:
            print(f"warning: {warning}", flush=True)
            run.notes.append(warning)
        cases = comparisons.select(comparisons.MAIN, options.only)
        context = [] if options.quick else comparisons.select(comparisons.CONTEXT, options.only)
        with_memory = options.memory and (not options.only or "memory" in options.only)
        if not cases and not context and not with_memory:
            raise BenchmarkError(f"--only names no server of this run; known are {', '.join(SERVERS)}")
        wanted = {peer for case in (*cases, *context) if (peer := SERVERS[case.server].peer) is not None}
        if with_memory:
            wanted |= {"gunicorn", "django"}
        environment, missing = peers.prepare(options.peers, wanted)
        tricorn = find_tricorn(options.tricorn)
        _leave_out(run, [*cases, *context], missing, tricorn)
        bench = Bench(cores, wrk, environment, tricorn or "tricorn", options.seconds)
        started = time.monotonic()  # what was installed once is not part of the measurement
        _print_head(bench, options)
        _measure(run, bench, cases, context, options, started)
        if with_memory:
            _measure_memory(run, bench, missing, tricorn)
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; every server was stopped. What was measured so far:", file=sys.stderr)
        _print_result(run)
        return 130
    finally:
        kill_descendants()  # whoever was started at the very moment of an interruption
    _print_result(run)
    print(f"took {time.monotonic() - started:.0f} s")
    if options.json is not None:
        _write_json(run, options)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of one second per server, fewer servers")
    parser.add_argument("--rounds", type=_positive, help="rounds, interleaved (3; 1 with --quick)")
    parser.add_argument("--seconds", type=_positive, help="seconds counted in each trial (2; 1 with --quick)")
    parser.add_argument(
        "--only", type=_names, default=(), metavar="NAMES", help=f"of {', '.join(SERVERS)}, memory; comma between"
    )
    parser.add_argument(
        "--no-memory", dest="memory", action="store_false", help="leave out the memory of a Django site"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument(
        "--tricorn", metavar="COMMAND", help="the tricorn command to measure (the one beside this Python)"
    )
    parser.add_argument(
        "--peers", type=Path, default=ROOT / ".build" / "peers", metavar="DIR", help="where other servers are installed"
    )
    parser.add_argument(
        "--time-limit", type=_positive, default=330, metavar="SECONDS", help="no round is begun after this time (330)"
    )
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.peers = options.peers.resolve()
    return options


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name != "memory" and not any(server == name or server.startswith(f"{name}-") for server in SERVERS):
            raise argparse.ArgumentTypeError(f"{name} is not a server; known are {', '.join(SERVERS)}, memory")
    return names


def _leave(number: int, _frame: FrameType | None) -> None:
    """Being ended is leaving in order: every `with` ends its server."""
    raise SystemExit(128 + number)


def _leave_out(run: Run, cases: Sequence[Case], missing: dict[str, str], tricorn: str | None) -> None:
    """Note each server that cannot be had here, with the reason."""
    for name in dict.fromkeys(case.server for case in cases):
        server = SERVERS[name]
        if server.peer is not None and server.peer in missing:
            run.left_out[name] = missing[server.peer]
        elif server.is_tricorn and tricorn is None:
            run.left_out[name] = "tricorn is not installed beside this Python (make bench builds it)"
        elif server.program is not None and server.program() is None:
            run.left_out[name] = f"it is not installed ({server.program_hint})"


def _measure(
    run: Run, bench: Bench, cases: Sequence[Case], context: Sequence[Case], options: argparse.Namespace, started: float
) -> None:
    """Round after round, each case once in each, so that a slow minute of the machine falls on all alike."""
    for number in range(1, options.rounds + 1):
        if number > 1 and time.monotonic() - started > options.time_limit * (number - 1) / number:
            run.notes.append(f"the time limit of {options.time_limit} s ended the run after round {number - 1}")
            break
        for case in (*cases, *context) if number == 1 else cases:
            if case.server in run.left_out or case.key in run.left_out:
                continue
            trials = run.rounds.setdefault(case, [])
            try:
                trial = run_trial(SERVERS[case.server], case.connections, bench)
            except TrialError as error:
                trials.append(None)
                print(f"round {number}  {case.key:<22} failed: {error}", flush=True)
                if number == 1:
                    run.left_out[case.key] = str(error)
                else:
                    run.notes.append(f"{case.key} failed in round {number}: {error}")
                continue
            trials.append(trial)
            print(
                f"round {number}  {case.key:<22} {trial.us_per_request:7.1f} us/req {trial.requests_per_second:10,.0f} req/s",
                flush=True,
            )


def _measure_memory(run: Run, bench: Bench, missing: dict[str, str], tricorn: str | None) -> None:
    for name in memory.VARIANTS:
        reason = missing.get("django") or (missing.get(name) if name == memory.THEIRS else None)
        if name in memory.OURS and tricorn is None:
            reason = "tricorn is not installed beside this Python (make bench builds it)"
        try:
            if reason is not None:
                raise TrialError(reason)
            run.memory[name] = memory.measure(name, bench)
        except TrialError as error:
            run.left_out[f"memory of {name}"] = str(error)


def _print_head(bench: Bench, options: argparse.Namespace) -> None:
    facts = machine.describe()
    print(f"{facts['processor']}, {facts['cores']} cores, Linux {facts['kernel']}, {facts['python']}")
    print(
        f"servers on core {bench.cores.server}, wrk on core {bench.cores.load}; "
        f"{options.rounds} round(s) of {options.seconds} s each after 1 s of warm-up",
        flush=True,
    )


def _print_result(run: Run) -> None:
    print()
    print(report.table(run.rounds))
    print()
    lines = [
        *report.memory_lines(run.memory),
        *report.bar_lines(run.rounds, run.memory),
        *report.left_out_lines(run.left_out),
        *(f"note: {note}" for note in run.notes),
        *report.noise_lines(run.rounds),
    ]
    print("\n".join(lines))


def _write_json(run: Run, options: argparse.Namespace) -> None:
    versions = [(peer.distribution, peer.version) for peer in peers.PEERS.values()]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions.append(("tricorn", importlib.metadata.version("tricorn")))
    chosen = {"rounds": options.rounds, "seconds": options.seconds, "quick": options.quick, "only": options.only}
    result = report.as_json(machine.describe(), chosen, run.rounds, run.memory, run.left_out, versions)
    options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(f"all figures are in {options.json}")


if __name__ == "__main__":
    sys.exit(main())
