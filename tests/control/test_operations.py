"""Everything that an operator can ask for, one after the other, while clients send as fast as they are answered.

Each verb and each signal for itself is in `test_verbs.py` and `test_signals.py`; here none of them may cost a request.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.control.client import alive, status, tell, until
from tests.control.conftest import APPS
from tests.control.load import Load, begun
from tricorn.control.client import NoAnswerError
from tricorn.testing import Server

CLIENTS = 4
CHILDREN = {"prefork": CLIENTS + 1, "worker": 3, "event": 3}
"""Under prefork one place more than clients: who has none waits for another client's connection to end."""
UNIT = {"prefork": 1, "worker": 2, "event": 2}


@dataclass
class Operator:
    """Asks for one thing after the other, and waits each time until it is so and clients have been answered since."""

    server: Server
    control: Path
    site: Path
    load: Load
    mpm: str
    edition: int = 1

    @property
    def access(self) -> Path:
        return self.site / "access.log"

    @property
    def pid(self) -> int:
        """Of the parent, which is another one after each upgrade."""
        return int(self.status()["pid"])

    def status(self) -> Mapping[str, Any]:
        """Of whoever serves; in an upgrade there is a moment in which nobody answers there."""

        def answer() -> Mapping[str, Any]:
            try:
                return status(self.control)
            except NoAnswerError:
                return {}

        return until(answer, "the server answers")

    def served(self, number: int = 100) -> None:
        """So many requests more have been answered."""
        seen = self.load.answered
        until(lambda: self.load.answered >= seen + number, "clients are served", timeout=30)

    def say(self, *words: str) -> Any:
        """A verb; the data that it gives."""
        done = tell(self.control, *words, "--json")
        assert done.code == 0, (words, done)
        return done.data

    def children(self, number: int) -> None:
        """There are so many that serve, and nobody else."""
        until(
            lambda: [child["state"] for child in self.status()["children"]] == ["ready"] * number,
            f"{number} children serve",
            timeout=30,
        )
        self.served()

    def looks(self) -> None:
        assert self.say("status")["mpm"] == self.mpm
        assert self.say("why")["decisions"]
        assert tell(self.control, "status").out and tell(self.control, "why").out

    def resizes_the_terminal(self) -> None:
        before = self.status()["children"]
        for pid in (self.pid, *(child["pid"] for child in before)):
            os.kill(pid, signal.SIGWINCH)
        self.served()
        assert [child["pid"] for child in self.status()["children"]] == [child["pid"] for child in before]

    def rotates(self, way: Callable[[], object]) -> None:
        number = len(list(self.site.glob("access.log*")))
        self.access.rename(self.site / f"access.log.{number}")
        way()
        until(lambda: self.access.exists() and self.access.stat().st_size > 0, "the new file is written to", timeout=30)
        self.served()

    def moves_the_limit(self) -> None:
        children = CHILDREN[self.mpm]
        self.say("resize", "--max", str((children + 1) * UNIT[self.mpm]))
        self.children(children + 1)
        os.kill(self.pid, signal.SIGTTIN)
        self.children(children + 2)
        os.kill(self.pid, signal.SIGTTOU)
        self.children(children + 1)
        self.say("resize", "--max", str(children * UNIT[self.mpm]))
        self.children(children)

    def replaces_a_child(self) -> None:
        child = self.status()["children"][0]
        self.say("retire", str(child["slot"]))
        until(lambda: not alive(child["pid"]), "it has left", timeout=30)
        self.children(CHILDREN[self.mpm])
        child = self.status()["children"][-1]
        os.kill(child["pid"], signal.SIGTERM)
        until(lambda: not alive(child["pid"]), "it has left", timeout=30)
        self.children(CHILDREN[self.mpm])

    def renews(self, way: Callable[[], object]) -> None:
        """New code, by whichever way; all of the old generation has left then."""
        self.edition += 1
        (self.site / "edition.new").write_text(f"edition-{self.edition}")
        (self.site / "edition.new").rename(self.site / "edition")
        way()
        until(lambda: f"edition-{self.edition}" in self.load.editions, "the new code serves", timeout=30)
        self.children(CHILDREN[self.mpm])

    def upgrades(self, way: Callable[[], object]) -> None:
        before = self.pid
        self.renews(way)
        until(lambda: not alive(before), "the server before has left", timeout=30)
        assert self.pid != before


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_nothing_that_is_asked_of_a_busy_server_costs_a_request(site: Path, control: Path, mpm: str) -> None:
    shutil.copy(APPS / "counted.py", site)
    (site / "journal").touch()
    (site / "journal").chmod(0o666)
    threads = () if mpm == "prefork" else ("--threads-per-child", str(UNIT[mpm]))
    options = ("--workers", str(CHILDREN[mpm]), *threads, "--control-socket", str(control), "--graceful-timeout", "20")
    access = ("--access-log", str(site / "access.log"))
    with Server("counted", mpm=mpm, options=(*options, *access), directory=site) as server:
        with Load(server, CLIENTS) as load:
            it = Operator(server, control, site, load, mpm)
            it.served()
            it.looks()
            it.resizes_the_terminal()
            it.rotates(lambda: it.say("reopen-logs"))
            it.rotates(lambda: os.kill(it.pid, signal.SIGUSR1))
            it.moves_the_limit()
            it.replaces_a_child()
            it.renews(lambda: it.say("reload"))
            it.renews(lambda: os.kill(it.pid, signal.SIGHUP))
            it.upgrades(lambda: it.say("upgrade"))
            it.upgrades(lambda: os.kill(it.pid, signal.SIGUSR2))
            it.looks()
            assert load.refused == 0
            last = it.pid
            it.say("stop")
            assert not alive(last)
        print(f"{mpm}: {load.told()}")
        assert load.lost == []
        assert load.raced == []
        assert load.refused == CLIENTS, "each client goes on until nobody listens"
        assert load.posted > load.answered / 4
        assert len(list(begun(site))) == load.answered, "the application was called once for each answer"
        lines = [line for path in site.glob("access.log*") for line in path.read_text().splitlines()]
        assert len(lines) == load.answered, "each answer has its line, in one file or another"
        text = server.log.text()
        assert "ended unasked" not in text
        assert "is killed" not in text
        assert "Traceback" not in text
