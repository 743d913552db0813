from __future__ import annotations

import os
import signal

import pytest

from tricorn.parent.processes import phrase
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
