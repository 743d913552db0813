"""The result of a run as text for a terminal and as JSON. Measures and decides nothing."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.comparisons import BARS, Bar, Case, Rounds, Spread, cpu_spread, ratio
from benchmarks.memory import BAR_RATIO, OURS, THEIRS, Memory
from benchmarks.servers import SERVERS
from benchmarks.trial import Trial

FOREIGN_LIMIT = 0.05
_HEAD = ("server", "us/req", "(range)", "req/s", "p99 ms", "PSS MiB", "core", "errors", "newcomer")


def table(rounds: Rounds) -> str:
    """One block per number of connections, the cheapest server first."""
    blocks = []
    for connections in sorted({case.connections for case in rounds}, reverse=True):
        rows = []
        for case, trials in rounds.items():
            done = [trial for trial in trials if trial is not None]
            cpu = cpu_spread(trials)
            if case.connections == connections and cpu is not None:
                rows.append((cpu.median, _row(case, cpu, done)))
        if rows:
            lines = _aligned([_HEAD, *(cells for _, cells in sorted(rows))])
            blocks.append("\n".join((f"{connections} kept-alive connections", *lines)))
    return "\n\n".join(blocks)


def _row(case: Case, cpu: Spread, done: Sequence[Trial]) -> tuple[str, ...]:
    return (
        SERVERS[case.server].label,
        f"{cpu.median:.1f}",
        f"{cpu.lowest:.1f}-{cpu.highest:.1f}",
        f"{statistics.median(trial.requests_per_second for trial in done):,.0f}",
        f"{statistics.median(trial.p99_us for trial in done) / 1000:.1f}",
        f"{statistics.median(trial.pss_mib for trial in done):.1f}",
        f"{statistics.median(trial.core_busy for trial in done):.0%}",
        str(sum(trial.errors for trial in done)),
        _newcomer([trial.newcomer_served for trial in done]),
    )


def _newcomer(served: Sequence[bool]) -> str:
    """In how many trials one more connection was served beside the loaded ones."""
    return {0: "waits", len(served): "served"}.get(sum(served), f"{sum(served)} of {len(served)}")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded: the first to the left, figures to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def bar_lines(rounds: Rounds, memory: Mapping[str, Memory]) -> list[str]:
    """A line for each bar of which both sides were measured. Information: no bar makes the run fail."""
    lines = []
    for bar in BARS:
        measured = ratio(rounds, Case(bar.connections, bar.ours), Case(bar.connections, bar.theirs))
        if measured is not None:
            lines.append(_bar_line(bar, measured))
    theirs = memory.get(THEIRS)
    if theirs is not None:
        lines.extend(_memory_bar_line(memory[name], theirs) for name in OURS if name in memory)
    return lines


def _memory_bar_line(ours: Memory, theirs: Memory) -> str:
    """Counted in both ways: everything that each server takes, and the processes that serve."""
    everything = ours.pss_mib / theirs.pss_mib
    serving = ours.serving_pss_mib / theirs.serving_pss_mib
    return (
        f"bar: memory with Django <= {BAR_RATIO} of {theirs.label}: {ours.label}: "
        f"serving processes {serving:.2f}, {_verdict(serving, BAR_RATIO)}; "
        f"all processes {everything:.2f}, {_verdict(everything, BAR_RATIO)}"
    )


def _bar_line(bar: Bar, measured: Spread) -> str:
    range_ = f" ({measured.lowest:.2f}-{measured.highest:.2f})" if measured.lowest != measured.highest else ""
    return (
        f"bar: {bar.ours} <= {bar.ratio} of {bar.theirs} at {bar.connections} connections: "
        f"measured {measured.median:.2f}{range_}, {_verdict(measured.median, bar.ratio)}"
    )


def _verdict(value: float, bound: float) -> str:
    return "met" if value <= bound else "NOT met"


def memory_lines(memory: Mapping[str, Memory]) -> list[str]:
    """The memory of each server's processes together, and of those that served."""
    return [
        f"memory: {result.label}, Django {result.django}: {result.pss_mib:.1f} MiB PSS in {result.processes} processes, "
        f"{result.serving_pss_mib:.1f} MiB in the {result.serving} that served {result.requests} requests"
        for result in memory.values()
    ]


def left_out_lines(left_out: Mapping[str, str]) -> list[str]:
    """What was not measured and why; one line for all that miss the same thing."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(reason, []).append(name)
    return [f"left out: {', '.join(those)}: {reason}" for reason, those in names.items()]


def noise_lines(rounds: Rounds) -> list[str]:
    """A sentence if others used the server's core during the run."""
    shares = [trial.foreign for trials in rounds.values() for trial in trials if trial is not None]
    noisy = [share for share in shares if share > FOREIGN_LIMIT]
    if not noisy:
        return []
    line = (
        f"noise: in {len(noisy)} of {len(shares)} trials others took more than {FOREIGN_LIMIT:.0%} of the server's core "
        f"(up to {max(noisy):.0%}): repeat on a quiet machine before relying on these figures"
    )
    return [line]


def as_json(
    machine: Mapping[str, str],
    options: Mapping[str, Any],
    rounds: Rounds,
    memory: Mapping[str, Memory],
    left_out: Mapping[str, str],
    versions: Iterable[tuple[str, str]],
) -> dict[str, Any]:
    """All figures of the run, every trial by itself."""
    return {
        "machine": dict(machine),
        "options": dict(options),
        "versions": dict(versions),
        "cases": {
            case.key: {
                "server": case.server,
                "label": SERVERS[case.server].label,
                "connections": case.connections,
                "us_per_request": asdict(cpu) if (cpu := cpu_spread(trials)) is not None else None,
                "trials": [asdict(trial) if trial is not None else None for trial in trials],
            }
            for case, trials in rounds.items()
        },
        "bars": [
            {
                **asdict(bar),
                "measured": asdict(measured)
                if (measured := ratio(rounds, Case(bar.connections, bar.ours), Case(bar.connections, bar.theirs)))
                else None,
            }
            for bar in BARS
        ],
        "memory": {name: asdict(result) for name, result in memory.items()},
        "left_out": dict(left_out),
    }
