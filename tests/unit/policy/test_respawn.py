from __future__ import annotations

import pytest

from tricorn.policy.respawn import CALM, LONGEST_DELAY, Respawn, delay


@pytest.mark.parametrize(
    ("strikes", "seconds"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (8, 30), (10_000_000, LONGEST_DELAY)]
)
def test_two_crashes_are_answered_at_once_then_the_wait_doubles(strikes: int, seconds: float) -> None:
    assert delay(strikes, 1) == seconds


def test_the_wait_is_counted_in_rounds_of_all_children() -> None:
    assert delay(16, 8) == 0
    assert delay(17, 8) == 1
    assert delay(25, 8) == 2


def test_a_child_that_never_was_ready_counts_double() -> None:
    assert Respawn().crashed(0, ever_ready=False, processes=1).strikes == 2
    assert Respawn().crashed(0, ever_ready=True, processes=1).strikes == 1


def test_a_calm_period_ends_a_series() -> None:
    series = Respawn()
    for second in range(5):
        series = series.crashed(second, ever_ready=True, processes=1)
    assert not series.may_start(5)
    calm = series.crashed(4 + CALM, ever_ready=True, processes=1)
    assert (calm.strikes, calm.crashes, calm.may_start(4 + CALM)) == (1, 1, True)


def test_a_wait_is_never_shortened_by_another_crash() -> None:
    series = Respawn(strikes=10, crashes=10, last=0, not_before=30)
    assert series.crashed(1, ever_ready=True, processes=8).not_before == 30
