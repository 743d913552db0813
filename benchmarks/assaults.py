"""Which attacks there are: our own attackers, and slowhttptest in its four modes. How one is fought is in `siege`."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable

from benchmarks.attackers import KINDS
from benchmarks.machine import BenchmarkError
from benchmarks.siege import Assault

USUAL = ("slow-heads", "slow-bodies", "slow-readers", "still-readers", "idle", "silent", "flood")
"""What a run is made of unless others are named."""
SLOWHTTPTEST = {
    "slowhttptest-head": ("slowhttptest -H, slow heads", ("-H", "-i", "1")),
    "slowhttptest-body": ("slowhttptest -B, slow bodies", ("-B", "-i", "1", "-s", "100000")),
    "slowhttptest-range": ("slowhttptest -R, ranges", ("-R", "-i", "1", "-a", "5", "-b", "2000")),
    "slowhttptest-read": ("slowhttptest -X, slow reads", ("-X", "-n", "1", "-w", "10", "-y", "64", "-z", "5")),
}
"""Their labels and options; the arguments of one each are those of its manual page."""
_PATHS = {"slowhttptest-body": "/read", "slowhttptest-read": "/pieces"}


def known() -> tuple[str, ...]:
    """Every name there is."""
    return (*KINDS, *SLOWHTTPTEST)


def assault(name: str, clients: int, *, addresses: int, again: bool) -> Assault:
    """The attack of this name with so many clients."""
    if name in SLOWHTTPTEST:
        return _slowhttptest(name, clients)

    def argv(port: int, seconds: float) -> list[str]:
        command = [sys.executable, "-m", "benchmarks.attackers", name, str(port), str(clients), str(seconds)]
        return [*command, "--addresses", str(addresses), *(() if again else ("--once",))]

    return Assault(name, KINDS[name].label, clients, argv)


def _slowhttptest(name: str, clients: int) -> Assault:
    program = shutil.which("slowhttptest")
    if program is None:
        raise BenchmarkError(f"{name} needs the program slowhttptest (Debian package slowhttptest)")
    label, mode = SLOWHTTPTEST[name]
    return Assault(name, label, clients, _command(program, name, mode, clients))


def _command(program: str, name: str, mode: tuple[str, ...], clients: int) -> Callable[[int, float], list[str]]:
    def argv(port: int, seconds: float) -> list[str]:
        url = f"http://127.0.0.1:{port}{_PATHS.get(name, '/')}"
        numbers = ("-c", str(clients), "-r", str(clients), "-l", str(math.ceil(seconds)), "-v", "0")
        return [program, *mode, *numbers, "-u", url]

    return argv
