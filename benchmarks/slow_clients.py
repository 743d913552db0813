"""`python -m benchmarks.slow_clients`: what slow clients and floods do to the honest ones, for each server and attack.

Only the order of things is here: choose, install, one siege after the other, print. docs/slow-clients.md tells the
method and the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import assaults, besieged, machine, peers, siege
from benchmarks.besieged import Besieged
from benchmarks.machine import BenchmarkError
from benchmarks.process_tree import adopt_orphans, kill_descendants
from benchmarks.servers import ROOT, find_tricorn
from benchmarks.siege import Assault, Siege
from benchmarks.siege_bars import bars
from benchmarks.siege_report import HEADING, Result, course, line, picture
from benchmarks.trial import Bench, TrialError

CELLS = ("silent", "head-bytes", "slow-bodies", "large-readers")
CELL_CLIENTS = 2
MOST_CLIENTS = 5000
MOST_SECONDS = 120


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0: measured, whatever the figures; 1: cannot be measured here; 130: interrupted."""
    options = parse(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    results: list[Result] = []
    with contextlib.suppress(PermissionError):
        os.nice(-10)  # others on the machine are less in the way; servers and clients inherit it alike
    try:
        adopt_orphans()
        servers = _chosen(besieged.SMALL if options.cells else besieged.SERVERS, options.servers)
        attacks = [
            assaults.assault(name, options.clients, addresses=options.addresses, again=options.again)
            for name in options.attacks
        ]
        environment, missing = peers.prepare(options.peers, {each.peer for each in servers if each.peer is not None})
        bench = Bench(machine.choose_cores(), "", environment, _tricorn(options.tricorn, servers), options.seconds)
        _print_head(bench, options)
        for server in servers:
            if server.peer in missing:
                print(f"{server.label}: left out, {missing[server.peer]}")
        _fight([each for each in servers if each.peer not in missing], attacks, bench, options, results)
        print("", *bars(results), sep="\n")
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; every server was stopped", file=sys.stderr)
        return 130
    finally:
        kill_descendants()
        write(results, options)
    return 0


def _fight(
    servers: Sequence[Besieged],
    attacks: Sequence[Assault],
    bench: Bench,
    options: argparse.Namespace,
    results: list[Result],
) -> None:
    """All of it, attack by attack, so that those to be compared come one after the other."""
    started = time.monotonic()
    for assault in attacks:
        print(f"\n{assault.clients} x {assault.label}\n{HEADING}", flush=True)
        for server in servers:
            if time.monotonic() - started > options.time_limit:
                print(f"the time limit of {options.time_limit} s is over; the rest is left out")
                return
            try:
                outcome: Siege | str = siege.run(server, assault, bench, rate=options.rate)
            except TrialError as error:
                outcome = str(error)
            results.append(Result(server, assault, outcome))
            print(line(results[-1]), flush=True)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow_clients", description=__doc__)
    parser.add_argument("--clients", type=_within(MOST_CLIENTS), help=f"in each attack (200), at most {MOST_CLIENTS}")
    parser.add_argument("--seconds", type=_within(MOST_SECONDS), default=8, help="of each attack (8)")
    parser.add_argument("--rate", type=_within(200), default=50, help="honest clients a second (50)")
    parser.add_argument("--attacks", type=_names, help=f"of {', '.join(assaults.known())}; comma between")
    parser.add_argument("--servers", type=_names, default=(), help=f"of {', '.join(besieged.SERVERS)}; comma between")
    parser.add_argument(
        "--cells",
        action="store_true",
        help=f"small servers, {CELL_CLIENTS} bad clients, the attacks {', '.join(CELLS)}",
    )
    parser.add_argument("--addresses", type=_within(250), default=50, help="that the attackers come from (50)")
    parser.add_argument(
        "--once", dest="again", action="store_false", help="an attacker whom the server closes does not come back"
    )
    parser.add_argument("--tricorn", metavar="COMMAND", help="the tricorn command (the one beside this Python)")
    parser.add_argument(
        "--peers", type=Path, default=ROOT / ".build" / "peers", metavar="DIR", help="where other servers are installed"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the table as SVG")
    parser.add_argument("--course", type=Path, metavar="FILE", help="draw the first attack second by second as SVG")
    parser.add_argument(
        "--time-limit", type=_within(7200), default=1200, help="no siege is begun after this time (1200)"
    )
    options = parser.parse_args(argv)
    options.attacks = options.attacks or (CELLS if options.cells else assaults.USUAL)
    options.clients = options.clients or (CELL_CLIENTS if options.cells else 200)
    unknown = set(options.attacks) - set(assaults.known())
    if unknown:
        parser.error(
            f"--attacks: {', '.join(sorted(unknown))} is not an attack; known are {', '.join(assaults.known())}"
        )
    return options


def _within(most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        number = int(text)
        if not 1 <= number <= most:
            raise argparse.ArgumentTypeError(f"{text} is not within 1 and {most}")
        return number

    return whole


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _chosen(servers: Mapping[str, Besieged], names: Sequence[str]) -> list[Besieged]:
    unknown = set(names) - set(servers)
    if unknown:
        raise BenchmarkError(f"--servers: {', '.join(sorted(unknown))} is no server; known are {', '.join(servers)}")
    return [server for name, server in servers.items() if not names or name in names]


def _tricorn(asked: str | None, servers: Sequence[Besieged]) -> str:
    found = find_tricorn(asked)
    if found is None and any(server.peer is None for server in servers):
        raise BenchmarkError("the command tricorn is not beside this Python: install it, or name it with --tricorn")
    return found or ""


def _print_head(bench: Bench, options: argparse.Namespace) -> None:
    about = machine.describe()
    print(f"{about['processor']}, {about['cores']} cores, Linux {about['kernel']}, {about['python']}")
    print(
        f"servers on core {bench.cores.server}, clients on core {bench.cores.load}; {options.rate} honest clients a "
        f"second, {siege.CALM_SECONDS:g} s in peace, {options.seconds} s under attack"
    )
    warning = machine.load_warning(bench.cores)
    if warning is not None:
        print(f"warning: {warning}", flush=True)


def write(results: Sequence[Result], options: argparse.Namespace) -> None:
    if options.json is not None:
        rows = [
            {"server": each.server.name, "attack": each.assault.name, "clients": each.assault.clients}
            | ({"failed": each.outcome} if isinstance(each.outcome, str) else asdict(each.outcome))
            for each in results
        ]
        options.json.write_text(json.dumps(rows, indent=1), "utf-8")
    if options.course is not None and results:
        options.course.write_text(course(results), "utf-8")
    if options.picture is not None and results:
        options.picture.write_text(picture(results), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
