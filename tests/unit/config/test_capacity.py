"""The numbers of the MPMs: what follows from the CPUs, what from stated numbers, and what cannot be together."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tests.unit.config.world import World
from tricorn.config import show
from tricorn.config.settings import Capacity
from tricorn.errors import ConfigError


def capacity(world: World, mpm: str, cpus: int, *words: str) -> Capacity:
    world.machine = replace(world.machine, cpus=cpus)
    return world.configure("--mpm", mpm, *words).settings.capacity


def refusal(world: World, *words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        world.configure(*words)
    return str(caught.value)


@pytest.mark.parametrize(
    ("mpm", "cpus", "start", "least", "most", "min_spare", "max_spare"),
    [
        ("prefork", 1, 3, 1, 16, 1, 4),
        ("prefork", 2, 5, 2, 32, 2, 7),
        ("prefork", 8, 17, 8, 128, 8, 25),
        ("prefork", 64, 129, 64, 256, 64, 193),
        ("prefork", 200, 401, 200, 401, 200, 401),
        ("worker", 1, 2, 1, 4, 16, 48),
        ("worker", 2, 2, 1, 8, 16, 48),
        ("worker", 8, 8, 1, 32, 16, 144),
        ("event", 1, 2, 1, 4, 8, 24),
        ("event", 2, 2, 1, 8, 8, 24),
        ("event", 8, 8, 1, 32, 8, 72),
    ],
)
def test_automatic_numbers(
    world: World, mpm: str, cpus: int, start: int, least: int, most: int, min_spare: int, max_spare: int
) -> None:
    found = capacity(world, mpm, cpus)
    assert (found.start, found.least, found.most) == (start, least, most)
    assert (found.min_spare, found.max_spare) == (min_spare, max_spare)


@pytest.mark.parametrize(
    ("mpm", "words", "start", "least", "most", "min_spare", "max_spare"),
    [
        # A small limit: what else there is fits under it.
        ("prefork", "--max-request-workers 4", 4, 4, 4, 4, 5),
        ("prefork", "--max-request-workers 1", 1, 1, 1, 1, 2),
        ("event", "--max-request-workers 8", 1, 1, 1, 8, 16),
        ("event", "--max-request-workers 80", 4, 1, 10, 8, 40),
        # More spare capacity: more at the start, and a limit that leaves room.
        ("prefork", "--min-spare-servers 50", 50, 50, 200, 50, 54),
        ("event", "--min-spare-threads 30", 4, 4, 16, 30, 40),
        ("event", "--min-spare-threads 100", 13, 13, 50, 100, 112),
        ("prefork", "--max-spare-servers 100", 9, 4, 100, 4, 100),
        ("event", "--max-spare-threads 10", 1, 1, 16, 2, 10),
        # A small start is meant to be one.
        ("prefork", "--start-servers 1", 1, 1, 64, 1, 5),
        ("event", "--start-servers 1", 1, 1, 16, 8, 16),
        ("event", "--start-servers 40", 40, 1, 40, 8, 320),
        # Everything stated, as Debian's mpm_event.conf does.
        (
            "event",
            "--start-servers 2 --threads 25 --min-spare-threads 25 --max-spare-threads 75 --max-request-workers 150",
            2,
            1,
            6,
            25,
            75,
        ),
    ],
)
def test_numbers_that_are_not_stated_follow_those_that_are(
    world: World, mpm: str, words: str, start: int, least: int, most: int, min_spare: int, max_spare: int
) -> None:
    found = capacity(world, mpm, 4, *words.split())
    assert (found.start, found.least, found.most) == (start, least, most)
    assert (found.min_spare, found.max_spare) == (min_spare, max_spare)


@pytest.mark.parametrize(("mpm", "threads"), [("prefork", 1), ("worker", 16), ("event", 8)])
def test_a_fixed_pool(world: World, mpm: str, threads: int) -> None:
    found = capacity(world, mpm, 8, "--workers", "3")
    assert (found.start, found.least, found.most, found.threads_per_child) == (3, 3, 3, threads)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            "--start-servers 5 --max-request-workers 32",
            ["option --start-servers: start_servers cannot be 5 with max_request_workers 32 (option", "up to 4."],
        ),
        (
            "--mpm prefork --start-servers 5 --max-request-workers 4",
            ["start_servers cannot be 5 with max_request_workers 4", "Allowed is up to 4."],
        ),
        (
            "--start-servers 2 --min-spare-threads 17",
            ["start_servers cannot be 2 with min_spare_threads 17", "Allowed is 3 or more, or auto."],
        ),
        (
            "--min-spare-threads 40 --max-spare-threads 47",
            ["option --max-spare-threads: max_spare_threads cannot be 47 with min_spare_threads 40", "is 48 or more."],
        ),
        (
            "--max-spare-threads 8",
            ["max_spare_threads cannot be 8 with threads_per_child 8 (default)", "is 9 or more."],
        ),
        (
            "--mpm prefork --min-spare-servers 5 --max-spare-servers 5",
            ["max_spare_servers cannot be 5 with min_spare_servers 5", "Allowed is 6 or more."],
        ),
        (
            "--min-spare-threads 65 --max-request-workers 64",
            ["min_spare_threads cannot be 65 with max_request_workers 64", "Allowed is up to 64."],
        ),
        (
            "--threads 1 --min-spare-threads 2049",
            ["min_spare_threads cannot be 2049 with threads_per_child 1", "Allowed is up to 2048."],
        ),
        (
            "--max-request-workers 100",
            ["max_request_workers cannot be 100 with threads_per_child 8 (default)", "a multiple, like 96 or 104."],
        ),
        ("--max-request-workers 7", ["max_request_workers cannot be 7", "a multiple, like 8."]),
        (
            "--mpm prefork --max-request-workers 2049",
            ["max_request_workers cannot be 2049", "Allowed is up to 2048, which is 2048 children."],
        ),
        ("--mpm prefork --min-spare-threads 3", ["the prefork MPM has no min_spare_threads", "min_spare_servers"]),
        ("--max-spare-servers 3", ["the event MPM has no max_spare_servers", "max_spare_threads"]),
    ],
)
def test_contradictions(world: World, words: str, parts: list[str]) -> None:
    sentence = refusal(world, *words.split())
    assert len(sentence.splitlines()) == 1
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize(
    ("mpm", "name"),
    [
        (mpm, name)
        for mpm, unit in (("prefork", "servers"), ("worker", "threads"), ("event", "threads"))
        for name in ("start_servers", f"min_spare_{unit}", f"max_spare_{unit}", "max_request_workers")
    ],
)
def test_a_fixed_pool_has_no_band(world: World, mpm: str, name: str) -> None:
    world.write(f'mpm = "{mpm}"\n[{mpm}]\n{name} = 96\n')
    sentence = refusal(world, "-w", "4")
    assert sentence.startswith(
        f"option -w: workers cannot be 4 together with {name} 96 (tricorn.toml line 3) under the"
    )
    assert sentence.endswith(f"take one back with workers none or {name} auto.")
    assert world.configure("-w", "4", f"--{name.replace('_', '-')}", "auto").settings.capacity.most == 4
    assert world.configure("--workers", "none").settings.capacity.most != 4


def test_a_platform_that_states_workers_can_be_overruled(world: World) -> None:
    world.variables["WEB_CONCURRENCY"] = "4"
    world.write("[event]\nmax_request_workers = 64\n")
    assert "environment variable WEB_CONCURRENCY: workers cannot be 4" in refusal(world)
    world.write("[event]\nmax_request_workers = 64\nworkers = 'none'\n")
    assert "WEB_CONCURRENCY" in refusal(world), "the environment is stronger than the file"
    world.variables["TRICORN_WORKERS"] = "none"
    assert world.configure().settings.capacity.most == 8


def test_a_band_of_one_mpm_and_a_fixed_pool_of_another(world: World) -> None:
    world.write("[prefork]\nmin_spare_servers = 3\n[event]\nworkers = 2\n")
    assert world.configure().settings.capacity.most == 2
    assert world.configure("--mpm", "prefork").settings.capacity.min_spare == 3


@pytest.mark.parametrize(
    ("stated", "memory", "limit"),
    [
        (None, 10 << 30, 8 << 30),
        (None, None, None),
        ("50%", 1001, 500),
        ("100%", 1 << 30, 1 << 30),
        ("2G", 10 << 30, 2 << 30),
        ("2G", None, 2 << 30),
        ("off", 10 << 30, None),
        ("OFF", 10 << 30, None),
    ],
)
def test_the_limit_of_memory(world: World, stated: str | None, memory: int | None, limit: int | None) -> None:
    world.machine = replace(world.machine, memory=memory)
    configuration = world.configure(*(() if stated is None else ("--memory-limit", stated)))
    assert configuration.settings.memory.limit == limit
    assert configuration.warnings == ()


def test_a_share_of_what_nobody_knows(world: World) -> None:
    world.machine = replace(world.machine, memory=None)
    sentence = refusal(world, "--memory-limit", "50%")
    assert sentence.startswith("option --memory-limit: memory_limit cannot be 50%, since this system does not tell")
    assert re.search(r"^memory_limit +80% \(not known here\)", show.as_text(world.configure()), re.MULTILINE)


def test_a_limit_that_the_kernel_comes_before(world: World) -> None:
    (warning,) = world.configure("--memory-limit", "9G").warnings
    assert warning.startswith("option --memory-limit: memory_limit is 9G, more than the 8192M that the server may use")


def test_a_bound_of_memory_without_its_unit(world: World) -> None:
    world.write("[worker]\nmax_child_memory = 300\n")
    sentence = refusal(world)
    assert sentence.startswith("tricorn.toml line 2: max_child_memory cannot be 300 bytes")
    assert "300M may be meant." in sentence


def test_kubernetes_needs_time_to_hear_of_a_stop(world: World) -> None:
    assert world.configure().settings.lifecycle.drain_delay == 0
    world.variables["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
    found = world.configure()
    assert found.settings.lifecycle.drain_delay == 5
    assert str(found.resolution.in_force["drain_delay"]) == "environment variable KUBERNETES_SERVICE_HOST"
    world.write("drain_delay = 0")
    assert world.configure().settings.lifecycle.drain_delay == 0, "whoever states it is stronger"


@pytest.mark.parametrize(
    ("stated", "socket", "directory"),
    [
        (None, None, "/run/tricorn"),
        ("auto", None, "/run/tricorn"),
        ("off", None, None),
        ("/a/b.sock", "/a/b.sock", None),
        ("b.sock", "{here}/b.sock", None),
        ("./auto", "{here}/auto", None),
    ],
)
def test_the_control_socket(world: World, stated: str | None, socket: str | None, directory: str | None) -> None:
    found = world.configure(*(() if stated is None else ("--control-socket", stated))).settings.lifecycle
    assert (None if found.control_socket is None else str(found.control_socket)) == (
        None if socket is None else socket.format(here=world.directory)
    )
    assert (None if found.control_directory is None else str(found.control_directory)) == directory


@pytest.mark.parametrize(
    ("words", "fixed", "children", "units"),
    [
        ("", False, {"start": 4, "least": 1, "most": 16}, {"start": 32, "most": 128, "min_spare": 8, "max_spare": 40}),
        ("-w 2", True, {"start": 2, "least": 2, "most": 2}, {"start": 16, "most": 16, "min_spare": 1, "max_spare": 24}),
    ],
)
def test_check_tells_programs_too(
    world: World, words: str, fixed: bool, children: dict[str, int], units: dict[str, int]
) -> None:
    document = json.loads(show.as_json(world.configure(*words.split()), None))
    assert document["capacity"] == {
        "fixed": fixed,
        "unit": "thread",
        "units_per_child": 8,
        "children": children,
        "units": units,
        "memory_limit": (8 << 30) * 80 // 100,
    }


def test_check_tells_what_each_number_was_made_of(world: World) -> None:
    world.machine = replace(world.machine, cpus=1)
    text = show.as_text(world.configure("--min-spare-threads", "30"))
    told = [line.split("  ") for line in text.split("# What the event MPM makes of it\n")[1].splitlines()]
    assert [[part.strip() for part in line if part] for line in told] == [
        ["at the start", "4 children, 32 threads", "start_servers: auto, from min_spare_threads"],
        ["never fewer than", "4 children, 32 threads", "min_spare_threads: option --min-spare-threads"],
        ["never more than", "15 children, 120 threads", "max_request_workers: auto, from min_spare_threads"],
        ["grows below", "30 idle threads", "min_spare_threads: option --min-spare-threads"],
        ["shrinks above", "40 idle threads", "max_spare_threads: auto, from start_servers and threads_per_child"],
    ]
