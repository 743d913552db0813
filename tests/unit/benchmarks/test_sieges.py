"""How the benchmark of slow clients judges what it saw. The servers and the attackers are real elsewhere."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import grid, slow_clients
from benchmarks.attackers import KINDS
from benchmarks.besieged import SERVERS
from benchmarks.honest import Visit
from benchmarks.siege import Assault, Siege, by_second, judge, recovered
from benchmarks.siege_bars import bars
from benchmarks.siege_report import Result, course, line, picture

ROOT = Path(__file__).parents[3]
LOST = "no answer in 3 s"


def siege(problems: list[str], *, began: float = 100.0, growth: int = 0, held: int = 0) -> Siege:
    """One whose honest clients came ten a second and fared so; the answered took 4 ms."""
    visits = [Visit(began + number / 10, 0.004, problem) for number, problem in enumerate(problems)]
    return Siege(
        calm=judge([Visit(0.0, 0.001)] * 100),
        attacked=judge(visits),
        recovered=recovered(visits, began),
        pss_before=1000,
        pss_peak=1000 + growth,
        held=held,
        kernel_peak=0,
        attackers={},
        seconds=by_second(visits, began),
    )


def result(server: str, attack: str, outcome: Siege | str) -> Result:
    return Result(SERVERS[server], Assault(attack, KINDS[attack].label, 500, lambda _port, _seconds: []), outcome)


def test_a_share_counts_the_lost_and_percentiles_do_not() -> None:
    answers = judge([*(Visit(0.0, number / 1000) for number in range(1, 100)), Visit(0.0, 3.0, LOST)])
    assert (answers.asked, answers.answered, answers.problems) == (100, 99, {LOST: 1})
    assert answers.share == pytest.approx(0.99)
    assert answers.p50_ms == pytest.approx(50.0)
    assert answers.p99_ms == pytest.approx(99.0)


def test_nobody_answered_has_no_percentiles() -> None:
    answers = judge([Visit(0.0, 3.0, LOST)])
    assert (answers.share, answers.p50_ms, answers.p99_ms) == (0.0, None, None)


@pytest.mark.parametrize(
    ("problems", "expected"),
    [(["", "", ""], 0.0), (["", LOST, "", ""], 0.1), ([LOST, "", LOST], None), ([], None)],
    ids=["nobody lost", "one lost", "the last one lost", "nobody came"],
)
def test_recovery_is_when_the_last_lost_one_came(problems: list[str], expected: float | None) -> None:
    assert siege(problems).recovered == (None if expected is None else pytest.approx(expected))


def test_the_course_has_a_share_for_each_second() -> None:
    assert siege([""] * 10 + [LOST] * 5 + [""] * 5 + [LOST] * 2).seconds == [1.0, 0.5, 0.0]
    visits = [Visit(0.0, 0.1), Visit(0.5, 3.0, LOST), Visit(2.0, 0.1)]
    assert by_second(visits, 0.0) == [0.5, 0.5, 1.0]


def test_bars_of_the_event_mpm() -> None:
    idle = result("event", "idle", siege([""] * 20, growth=4096 * 2000, held=2000))
    assert [text.rpartition(", ")[2] for text in bars([idle])] == ["met", "met", "NOT met"]
    lossy = result("event", "still-readers", siege(["", LOST], growth=65 << 20))
    assert [text.rpartition(", ")[2] for text in bars([lossy])] == ["NOT met", "met", "NOT met"]


def test_bars_of_the_others() -> None:
    answered_again = result("prefork", "slow-heads", siege([LOST] * 200 + [""] * 10))
    too_late = result("worker", "slow-heads", siege([LOST] * 500 + [""] * 10))
    assert [text.rpartition(", ")[2] for text in bars([answered_again, too_late])] == ["met", "NOT met"]
    assert not list(bars([result("waitress", "slow-heads", siege([LOST])), result("prefork", "idle", siege([LOST]))]))
    assert not list(bars([result("event", "idle", "it did not listen")]))


def test_a_siege_without_an_answer_can_be_told_and_drawn() -> None:
    results = [result("event", "idle", siege([LOST])), result("worker", "flood", "it did not listen")]
    assert "never" in line(results[0])
    assert "not measured: it did not listen" in line(results[1])
    for drawn in (picture(results), course(results)):
        ET.fromstring(drawn)
        assert "tricorn event, 2 children" in drawn


def test_names_in_a_picture_cannot_break_it() -> None:
    drawn = grid.draw("<a>", "&", ["b < c"], {'"d"': [grid.Cell(("<e>",), "#fff"), None]})
    texts = [each.text for each in ET.fromstring(drawn).iter() if each.text and each.text.strip()]
    assert {"<a>", "&", "b < c", '"d"', "<e>"} <= set(texts)


@pytest.fixture
def heads() -> Iterator[tuple[int, list[bytes]]]:
    """A port, and what those who connected to it have sent until they left."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(20)
                    said = connection.recv(1000)
                    while b"\r\nX-a" not in said and (more := connection.recv(1000)):
                        said += more
                    received.append(said)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], received
        thread.join(20)


def test_an_attacker_sends_slowly_and_comes_back(heads: tuple[int, list[bytes]]) -> None:
    port, received = heads
    command = [sys.executable, "-m", "benchmarks.attackers", "slow-heads", str(port), "1", "20"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attackers:
        waited = threading.Event()
        while len(received) < 2 and attackers.poll() is None:
            waited.wait(0.05)
        account = json.loads(attackers.communicate(timeout=20)[0])
    assert received == [b"GET / HTTP/1.1\r\nHost: attacker\r\nX-a: b\r\n"] * 2
    assert account["opened"] == 2
    assert account["closed_by_server"] >= 1


def test_whatever_can_be_asked_for_is_written(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("json", "picture", "course")}
    options = slow_clients.parse([word for name, path in files.items() for word in (f"--{name}", str(path))])
    slow_clients.write([result("event", "idle", siege(["", LOST])), result("worker", "idle", "it ended")], options)
    told = json.loads(files["json"].read_text())
    assert [each["attacked"]["answered"] for each in told if "attacked" in each] == [1]
    assert [each["failed"] for each in told if "failed" in each] == ["it ended"]
    assert all("</svg>" in files[name].read_text() for name in ("picture", "course"))
