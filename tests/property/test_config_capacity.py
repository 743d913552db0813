"""For any numbers of capacity: they are refused, or what follows from them agrees with them and with each other."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.config.world import World
from tricorn.config import show
from tricorn.config.capacity import SPARE, Asked, sizes
from tricorn.config.directives.capacity import MOST_CHILDREN
from tricorn.config.settings import Mpm
from tricorn.errors import ConfigError

UNITS = st.none() | st.integers(1, 40) | st.integers(1, MOST_CHILDREN)
MPMS = st.sampled_from(list(Mpm))
CPUS = st.sampled_from([1, 2, 3, 8, 64, 192, 1024])


@given(MPMS, CPUS, st.integers(1, 64), UNITS, UNITS, UNITS, UNITS)
def test_numbers_agree_or_are_refused(
    mpm: Mpm, cpus: int, threads: int, start: int | None, low: int | None, high: int | None, limit: int | None
) -> None:
    threads = 1 if mpm is Mpm.PREFORK else threads
    high = None if high is None else max(2, high)
    least, most = (directive.name for directive in SPARE[mpm])
    stated = {"start_servers": start, least: low, most: high, "max_request_workers": limit}
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place))
        world.machine = replace(world.machine, cpus=cpus)
        text = "\n".join(f"{name} = {value}" for name, value in stated.items() if value is not None)
        world.write(f'mpm = "{mpm.value}"\n[{mpm.value}]\nthreads_per_child = {threads}\n{text}\n')
        disagree = (
            (limit is not None and limit % threads != 0)
            or (start is not None and limit is not None and start * threads > limit)
            or (start is not None and low is not None and start * threads < low)
            or (low is not None and limit is not None and low > limit)
            or (high is not None and high < (low or 1) + threads)
        )
        if disagree:
            with pytest.raises(ConfigError):
                world.configure()
            return
        configuration = world.configure()
    capacity = configuration.settings.capacity
    band = sizes(mpm, cpus, threads, Asked(None, start, low, high, limit))
    assert (capacity.min_spare, capacity.max_spare) == (band.min_spare.value, band.max_spare.value)
    assert 1 <= capacity.least <= capacity.start <= capacity.most <= MOST_CHILDREN
    assert capacity.most * threads == band.limit.value
    assert 1 <= capacity.min_spare <= capacity.most * threads
    assert (capacity.least - 1) * threads < capacity.min_spare <= capacity.least * threads
    assert capacity.min_spare + threads <= capacity.max_spare
    assert start in {None, capacity.start}
    assert low in {None, capacity.min_spare}
    assert high in {None, capacity.max_spare}
    assert limit in {None, capacity.most * threads}


@given(MPMS, CPUS, st.integers(1, 64), st.integers(1, MOST_CHILDREN))
def test_a_fixed_pool_is_fixed(mpm: Mpm, cpus: int, threads: int, workers: int) -> None:
    threads = 1 if mpm is Mpm.PREFORK else threads
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place))
        world.machine = replace(world.machine, cpus=cpus)
        words = ("--mpm", mpm.value, "--workers", str(workers), "--threads", str(threads))
        capacity = world.configure(*words).settings.capacity
    assert capacity.start == capacity.least == capacity.most == workers
    assert 1 <= capacity.min_spare <= capacity.max_spare - threads


@given(MPMS, st.integers(1, 30), st.integers(1, 30), st.integers(1, 60), st.integers(1, 30))
def test_a_band_survives_a_file(mpm: Mpm, low: int, more: int, start: int, room: int) -> None:
    threads = 1 if mpm is Mpm.PREFORK else 4
    assume(start * threads >= low)
    least, most = (directive.name for directive in SPARE[mpm])
    with tempfile.TemporaryDirectory() as place:
        first = World(Path(place))
        first.variables = {
            "TRICORN_MPM": mpm.value,
            "TRICORN_THREADS_PER_CHILD": str(threads),
            "TRICORN_START_SERVERS": str(start),
            f"TRICORN_{least.upper()}": str(low),
            f"TRICORN_{most.upper()}": str(low + threads + more),
            "TRICORN_MAX_REQUEST_WORKERS": str((start + room) * threads),
        }
        before = first.configure()
        second = World(Path(place))
        second.write(show.as_toml(before))
        assert second.configure().settings == before.settings
