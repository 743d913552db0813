"""What a siege looks like to its reader: one line of text, one cell of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import grid
from benchmarks.besieged import Besieged
from benchmarks.picture import Panel, Series, draw
from benchmarks.siege import Answers, Assault, Siege

HEADING = (
    f"{'server':40} {'answered':>9} {'again from':>11} {'p50 ms':>8} {'p99 ms':>8} {'in peace p99':>13} "
    f"{'PSS MiB':>8} {'grew':>7} {'sockets':>8} {'held':>6}  lost"
)
GOOD, PARTLY, BAD = "#aceebb", "#fae17d", "#ffc1ba"
COLOURS = ("#2da44e", "#1f6feb", "#8250df", "#cf222e", "#bf8700", "#57606a")
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Result:
    """One siege, or the sentence that says why there was none."""

    server: Besieged
    assault: Assault
    outcome: Siege | str


def line(result: Result) -> str:
    """One line below HEADING."""
    name = f"{result.server.label:40}"
    if isinstance(result.outcome, str):
        return f"{name} not measured: {result.outcome}"
    fought = result.outcome
    attacked = fought.attacked
    lost = ", ".join(f"{count} {problem}" for problem, count in attacked.problems.items())
    return (
        f"{name} {attacked.share:9.1%} {_recovery(fought):>11} {_ms(attacked.p50_ms):>8} {_ms(attacked.p99_ms):>8} "
        f"{_ms(fought.calm.p99_ms):>13} {fought.pss_peak / MIB:8.1f} {fought.growth / MIB:+7.1f} "
        f"{fought.kernel_peak / MIB:+8.1f} {fought.held:6}  {lost or 'none'}"
    )


def _recovery(fought: Siege) -> str:
    return "never" if fought.recovered is None else f"{fought.recovered:.1f} s"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def picture(results: Sequence[Result]) -> str:
    """All sieges as one table: a row for each server, a column for each attack."""
    attacks = list({result.assault.name: result.assault for result in results}.values())
    found = {(result.server.name, result.assault.name): result for result in results}
    rows = {
        server.label: [_cell(found.get((server.name, assault.name))) for assault in attacks]
        for server in {result.server.name: result.server for result in results}.values()
    }
    counts = {assault.clients for assault in attacks}
    many = f"{counts.pop()} bad clients" if len(counts) == 1 else "bad clients"
    return grid.draw(
        f"Honest requests answered beside {many}",
        "Share of honest clients answered within 3 s, their p99, and by how much the memory of the server grew.",
        [assault.label for assault in attacks],
        rows,
    )


def course(results: Sequence[Result]) -> str:
    """The sieges of the first attack as curves: the share of honest clients answered, second by second."""
    assault = results[0].assault
    fought = [each for each in results if each.assault.name == assault.name and isinstance(each.outcome, Siege)]
    series = [
        Series(
            each.server.label,
            [(number + 0.5, share * 100) for number, share in enumerate(each.outcome.seconds)],
            COLOURS[index % len(COLOURS)],
            dashes="" if index < len(COLOURS) else "6 3",
        )
        for index, each in enumerate(fought)
        if isinstance(each.outcome, Siege)
    ]
    seconds = max((len(each.points) for each in series), default=1)
    return draw(
        f"{assault.clients} x {assault.label}",
        "Share of the honest clients of each second that were answered within 3 s; the attack begins at 0.",
        [Panel("answered, %", 260, tuple(series))],
        [],
        float(seconds),
    )


def _cell(result: Result | None) -> grid.Cell | None:
    if result is None or isinstance(result.outcome, str):
        return None
    answers: Answers = result.outcome.attacked
    colour = GOOD if answers.share == 1 else BAD if answers.share < 0.5 else PARTLY
    share = f"{int(answers.share * 1000) / 10:g} %"
    p99 = "" if answers.p99_ms is None else f"p99 {_short(answers.p99_ms)}"
    return grid.Cell((share, p99, f"{result.outcome.growth / MIB:+.0f} MiB"), colour)


def _short(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds:.{milliseconds < 10:d}f} ms"
