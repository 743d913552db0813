"""Which file is read, and what is said about its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.world import World
from tricorn.config.settings import Contended, Rate
from tricorn.errors import ConfigError


def refusal(world: World, config: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        world.configure(config=config)
    return str(caught.value)


def test_no_file(world: World) -> None:
    assert world.configure().file is None


def test_own_file_before_pyproject(world: World) -> None:
    world.write("backlog = 1")
    world.write("[tool.tricorn]\nbacklog = 2", "pyproject.toml")
    configuration = world.configure()
    assert (configuration.settings.listen.backlog, configuration.file) == (1, Path("tricorn.toml"))


def test_pyproject_without_our_table_is_not_ours(world: World) -> None:
    world.write("[tool.other]\nx = 2", "pyproject.toml")
    assert world.configure().file is None


def test_a_file_that_is_asked_for(world: World) -> None:
    world.write("backlog = 1")
    world.write("backlog = 3", "other.toml")
    assert world.configure(config="other.toml").settings.listen.backlog == 3
    assert world.configure(config=str(world.directory / "other.toml")).settings.listen.backlog == 3
    world.variables["TRICORN_CONFIG"] = "other.toml"
    assert world.configure().settings.listen.backlog == 3


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("missing.toml", None, ["missing.toml", "cannot be read"]),
        ("gunicorn.conf.py", "workers = 3", ["gunicorn.conf.py", "TOML and not Python", "tricorn check --toml"]),
        ("pyproject.toml", "[tool.x]", ["pyproject.toml", "no table [tool.tricorn]"]),
        ("pyproject.toml", "[tool]\ntricorn = 3", ["[tool.tricorn]"]),
        ("bad.toml", "a = \nb = 1", ["bad.toml is not valid TOML", "line 1"]),
        ("large.toml", "#" * (1 << 21), ["larger than 1M"]),
    ],
)
def test_files_that_cannot_be_used(world: World, name: str, text: str | None, parts: list[str]) -> None:
    if text is not None:
        world.write(text, name)
    sentence = refusal(world, name)
    for part in parts:
        assert part in sentence


def test_a_file_that_is_not_utf8(world: World) -> None:
    (world.directory / "tricorn.toml").write_bytes(b"app = '\xff'")
    assert "not UTF-8 (byte 7)" in refusal(world)


def test_a_directory_for_a_file(world: World) -> None:
    assert "cannot be read" in refusal(world, ".")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("\n\nbacklogg = 1", ["tricorn.toml line 3", "backlogg is not known", "did you mean backlog?"]),
        ("ThreadsPerChild = 1", ["it is called threads_per_child", "[event]"]),
        ("workers = 1", ["workers belongs to one MPM", "[event]"]),
        ("MinSpareThreads = 1", ["it is called min_spare_threads, in a table like [event]."]),
        ("ServerLimit = 1", ["it is called max_request_workers, in a table like [event]."]),
        ("max_requests = 1", ["it is called max_requests_per_child, in a table like [event]."]),
        ("bind = ':1'", ["it is called listen."]),
        ("timeout_grace = 3", ["timeout_grace belongs to one MPM", "[event]"]),
        ("[prefork]\ntimeout_grace = 3", ["the prefork MPM has no timeout_grace", "ends at once: see timeout"]),
        ("certfile = 'x.pem'", ["certfile is not known here: this version does not speak TLS"]),
        ("max_requests_jitter = 5", ["max_requests_jitter is not known here: chance is built in"]),
        ("zzz = 1", ["zzz is not known. `tricorn directives` lists all"]),
        ("start_servers = 1", ["belongs to one MPM", "[prefork], [worker], [event]"]),
        ("event = 1", ["event is the name of a table", "[event]", 'mpm = "event"']),
        ("[event]\nlisten = ':1'", ["line 2", "listen is the same for all MPMs", "above the first table"]),
        ("[event]\nthreads = 1", ["line 2", "it is called threads_per_child."]),
        ("[event]\nmin_spare_servers = 1", ["line 2", "the event MPM has no min_spare_servers; there", "threads"]),
        ("[prefork]\nmax_spare_threads = 1", ["line 2", "the prefork MPM has no max_spare_threads; there", "servers"]),
        ("[event]\nstart_server = 1", ["line 2", "did you mean start_servers?"]),
        ("[worker]\nmax_open_connections = 1", ["the worker MPM has no max_open_connections"]),
        ("[event]\n[event.deep]\nx = 1", ["deep is not known"]),
    ],
)
def test_keys(world: World, text: str, parts: list[str]) -> None:
    world.write(text)
    sentence = refusal(world)
    for part in parts:
        assert part in sentence


def test_the_tables_of_pyproject_are_named_in_full(world: World) -> None:
    world.write("[tool.tricorn]\nstart_servers = 1\n[tool.tricorn.event]\nuser = 'x'", "pyproject.toml")
    sentence = refusal(world)
    assert "[tool.tricorn.event]" in sentence
    world.write("[tool.tricorn]\nStartServers = 1", "pyproject.toml")
    assert "here it is called start_servers, in a table like [tool.tricorn.event]." in refusal(world)
    world.write("[tool.tricorn]\nstart_servers = 1\n[tool.tricorn.event]\nuser = 'x'", "pyproject.toml")
    assert "pyproject.toml line 4: user is the same for all MPMs: write it under [tool.tricorn]." in sentence


@pytest.mark.parametrize(
    "text",
    [
        "\nevent.threads_per_child = 0",
        '\n"event"."threads_per_child" = 0',
        "\nevent = { threads_per_child = 0 }",
        "[ event ] # here\nthreads_per_child = 0",
    ],
)
def test_lines_are_found_in_every_notation(world: World, text: str) -> None:
    world.write(text)
    assert refusal(world).startswith("tricorn.toml line 2: event.threads_per_child cannot be")


def test_one_file_configures_all_mpms_and_one_word_switches(world: World) -> None:
    world.write("[prefork]\nstart_servers = 5\n[worker]\nstart_servers = 6\n[event]\nstart_servers = 7\n")
    children = [world.configure("--mpm", mpm).settings.capacity.start for mpm in ("prefork", "worker", "event")]
    assert children == [5, 6, 7]


def test_relative_paths_begin_where_the_server_was_started(world: World) -> None:
    world.write('pid_file = "t.pid"\nerror_log = "e.log"\nlisten = "unix:s"\nchdir = "x"\naccess_log = "a.log"')
    settings = world.configure().settings
    assert settings.lifecycle.pid_file == world.directory / "t.pid"
    assert settings.logs.error_log == str(world.directory / "e.log")
    assert settings.logs.access_log == str(world.directory / "a.log")
    assert settings.environment.chdir == world.directory / "x"
    assert str(world.directory / "s") in repr(settings.listen.addresses)


def test_stages_may_be_an_apache_line_a_table_or_numbers(world: World) -> None:
    for text in (
        'request_read_timeout = "header=1-2,MinRate=3 body=4"',
        'request_read_timeout = { Header = "1-2,minrate=3", body = 4 }',
        "[request_read_timeout]\nbody = 4\n[request_read_timeout.header]\ninitial = 1\nmaximum = 2\nmin_rate = 3",
    ):
        world.write(text)
        timeouts = world.configure().settings.timeouts
        assert (timeouts.header.initial, timeouts.header.maximum, timeouts.header.min_rate) == (1, 2, 3)
        assert (timeouts.body.initial, timeouts.body.maximum, timeouts.body.min_rate) == (4, None, None)
        assert timeouts.response.initial == 60
        assert timeouts.handshake.initial == 0


@pytest.mark.parametrize("text", ['"body=4.5"', "{ Body = 4.5 }"])
def test_contended_timeouts_join_by_stage(world: World, text: str) -> None:
    world.write(f"contended_timeout = {text}\n")
    world.variables["TRICORN_CONTENDED_TIMEOUT"] = "header=0"
    found = world.configure("--mpm", "worker", "--contended-timeout", "response=9").settings
    assert found.timeouts.contended == Contended(0.0, 4.5, 9.0)


@pytest.mark.parametrize("text", ["3", "{ header = true }", "{ header = -1 }", "{ keep_alive = 1 }"])
def test_a_contended_timeout_is_stages_and_seconds(world: World, text: str) -> None:
    world.write(f"contended_timeout = {text}\n")
    with pytest.raises(ConfigError, match=r"line 1: contended_timeout cannot be .* Allowed is stages header"):
        world.configure("--mpm", "worker")


def test_the_wait_for_a_next_request_may_be_stated_among_the_stages(world: World) -> None:
    world.write('request_read_timeout = "handshake=5-10,MinRate=500 Keep_Alive=2.5"')
    timeouts = world.configure().settings.timeouts
    assert (timeouts.handshake, timeouts.keep_alive) == (Rate(5.0, 10.0, 500), 2.5)
    assert world.configure("--keep-alive", "2.5").settings.timeouts.keep_alive == 2.5
