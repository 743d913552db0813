from __future__ import annotations

import os
import signal
import sys

import pytest

from tricorn.parent.processes import belongs, phrase
from tricorn.parent.signals import TABLE


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit code 0"), (3 << 8, "exit code 3"), (9, "killed by SIGKILL"), (11, "killed by SIGSEGV")],
)
def test_how_a_process_ended_in_words(status: int, words: str) -> None:
    assert phrase(status) == words


def test_an_unnamed_signal_has_its_number() -> None:
    assert phrase(40) == "killed by signal 40"


def test_each_signal_has_one_meaning() -> None:
    numbers = [meaning.number for meaning in TABLE]
    assert len(numbers) == len(set(numbers))
    assert signal.SIGKILL not in numbers
    assert os.name == "posix"


def test_a_status_that_no_wait_gives_is_told_too() -> None:
    assert phrase(0x137F) == "wait status 4991"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and pidfds")
def test_a_template_cannot_have_strangers_signalled() -> None:
    own = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    try:
        assert belongs(own, None, frozenset({os.getpid()}))
        assert not belongs(os.getppid(), None, frozenset({os.getpid()}))
        assert not any(belongs(pid, None, frozenset({os.getpid(), 0})) for pid in (1, 0, -1))
        stranger = os.pidfd_open(os.getppid())
        assert not belongs(own, stranger, frozenset({os.getpid()})), "the descriptor is of somebody else"
        assert not belongs(own, 0, frozenset({os.getpid()})), "the descriptor is of no process"
        os.close(stranger)
        right = os.pidfd_open(own)
        assert belongs(own, right, frozenset({os.getpid()}))
    finally:
        os.kill(own, signal.SIGKILL)
        os.waitpid(own, 0)
    assert belongs(own, right, frozenset({os.getpid()})), "gone, so nobody is hit"
    os.close(right)
