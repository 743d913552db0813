"""Every refusal says where, what, and what is allowed or to be done."""

from __future__ import annotations

import pwd
import re
from dataclasses import replace

import pytest

from tests.unit.config.world import World
from tricorn.config.directives import table
from tricorn.config.settings import Mpm
from tricorn.errors import ConfigError

BAD_TEXTS = {
    "app": ["a\nb", ""],
    "interface": ["cgi"],
    "factory": ["perhaps"],
    "listen": ["", ",", "http://a:1", "/run/x.sock", "./x", "a:b", "a:70000", "::1:80", "[::1", "[::1]80", "[x]:1",
               "unix:", "unix:@a", "fd://x", "fd://-1", "a b:1", "1.2.3:80", "300.1.1.1:80", "a:-1", "a:1\0", "é:1"],
    "backlog": ["0", "65536", "x", ""],
    "unix_socket_mode": ["8", "1777", "rw", "0x1ff"],
    "unix_socket_user": ["a:b", "", "-1", "4294967295"],
    "unix_socket_group": ["a b"],
    "mpm": ["motorz", ""],
    "workers": ["0", "-1", "2049", "auto", ""],
    "start_servers": ["0", "-1", "2049", "1.5", "many", "٣"],
    "min_spare_servers": ["0", "2049"],
    "max_spare_servers": ["1", "off"],
    "min_spare_threads": ["0", "8388609"],
    "max_spare_threads": ["1", "-1"],
    "max_request_workers": ["0", "8388609", "8K"],
    "threads_per_child": ["0", "4097"],
    "max_open_connections": ["0", "1000001"],
    "max_queued_requests": ["0", "1000001"],
    "max_queue_time": ["-1", "86401", "never"],
    "max_connections_per_child": ["-1", "4294967296"],
    "max_requests_per_child": ["-1", "4294967296", "never"],
    "max_child_lifetime": ["-1", "366d", "31536001"],
    "max_child_memory": ["-1", "2T", "80%"],
    "memory_limit": ["0", "1M", "2048T", "0%", "101%", "50.5%", "%", "٣%", "-1%", "all"],
    "limit_request_line": ["0", "63", "2M", "8k8", "-1"],
    "limit_request_fields": ["0", "32769"],
    "limit_request_field_size": ["0", "unlimited"],
    "limit_request_head": ["1", "17M"],
    "limit_request_body": ["0", "2T", "10MB"],
    "max_keep_alive_requests": ["-1"],
    "max_connections_per_address": ["-1", "1000001", "x"],
    "max_unfinished_requests_per_address": ["-1", "1000001"],
    "address_prefix_ipv6": ["0", "129", "64.5"],
    "trusted_proxies": ["proxy.example", "*", "10.0.0.0/33", "10.0.0.1/8", "::1/129", "10.0.0.0-10.0.0.9", "unix:", "10",
                        "fe80::1%lo0"],
    "request_read_timeout": ["", "header", "head=1", "header=x", "header=-1", "header=1-2", "header=2-2,MinRate=1",
                             "header=3-2,MinRate=1", "header=1,MinRate=0", "header=0,MinRate=5", "keep_alive=0",
                             "body=1 body=2", "header=1,Rate=2", "header=99999999", "header=1,MinRate=9999999999",
                             "keep_alive=5,MinRate=1", "keep_alive=5-9,MinRate=1", "hand=1"],
    "contended_timeout": ["", "header", "header=", "keep_alive=1", "header=-1", "header=1-2", "body=1 body=2",
                          "response=5,MinRate=3", "header=86401"],
    "timeout": ["-1", "86401", "never", "nan"],
    "timeout_grace": ["-1", "86401", "inf"],
    "keep_alive_timeout": ["-1", "1d", "86401", "nan", "inf", "1e3"],
    "spool_directory": ["a\0b", "/nonexistent/directory"],
    "request_memory": ["x", "2G"],
    "response_memory": ["-1"],
    "response_limit": ["0", "unlimited"],
    "buffer_memory_per_child": ["-1", "auto", "2T"],
    "spool_limit_per_child": ["unlimited", "auto", "-1"],
    "spool_limit": ["unlimited", "10%", "2048T"],
    "root_path": ["api", "/", "/api/", "/a?b", "//a", "/a b"],
    "server_timing": ["perhaps"],
    "server_header": ["a\r\nB: c", "é", " a", ""],
    "chdir": ["", "a\0"],
    "python_path": ["a\0"],
    "env": ["A", "=b", "A=b\0"],
    "process_name": ["", "x" * 65, "a\n"],
    "user": ["", "no-such-user-here", "5000000000"],
    "group": ["no-such-group-here"],
    "umask": ["18", "1000", "-1"],
    "graceful_timeout": ["-5", "never"],
    "start_timeout": ["0"],
    "preload": ["yes"],
    "warm_up": ["a", "https://x/", "/a b"],
    "pid_file": [""],
    "drain_delay": ["-1", "86401", "auto"],
    "control_socket": ["", "a\0"],
    "error_log": [""],
    "log_level": ["loud"],
    "access_log": [""],
    "access_log_format": ["a\nb"],
}  # fmt: skip
CASES = [pytest.param(name, text, id=f"{name}-{text!a:.40}") for name, texts in BAD_TEXTS.items() for text in texts]
BAD_TOML = {
    "app": "3",
    "interface": "1",
    "factory": '"perhaps"',
    "listen": "[8000]",
    "backlog": "true",
    "unix_socket_mode": "0o600",
    "unix_socket_user": "-1",
    "mpm": "[]",
    "limit_request_body": "1.5",
    "request_read_timeout": "{ header = { initial = 3, most = 4 } }",
    "timeout": "nan",
    "keep_alive_timeout": "nan",
    "env": "{ A = 3 }",
    "python_path": "[1]",
    "umask": "22",
    "user": "1.0",
    "preload": "1",
    "access_log": "1979-05-27",
    "memory_limit": "0.8",
    "control_socket": "7",
}


def refusal(world: World, *words: str, app: str | None = "a:b") -> str:
    with pytest.raises(ConfigError) as caught:
        world.configure(*words, app=app)
    return str(caught.value)


def test_every_directive_refuses_something() -> None:
    assert set(BAD_TEXTS) == {directive.name for directive in table()}


@pytest.mark.parametrize(("name", "text"), CASES)
def test_bad_text(world: World, name: str, text: str) -> None:
    world.variables[f"TRICORN_{name.upper()}"] = text
    words = ("--mpm", "prefork") if name.endswith("_spare_servers") else ()
    sentence = refusal(world, *words, app=None if name == "app" else "a:b")
    assert sentence.startswith(f"environment variable TRICORN_{name.upper()}: {name} cannot be ")
    assert sentence.endswith(".")
    assert "\n" not in sentence, "control characters of a value must not break the message"
    assert sentence.isprintable()


@pytest.mark.parametrize("name", BAD_TOML)
def test_bad_toml(world: World, name: str) -> None:
    world.write(f"\n\n{name} = {BAD_TOML[name]}\n")
    sentence = refusal(world, app=None if name == "app" else "a:b")
    assert re.match(rf"tricorn\.toml line 3: {name} cannot be .*\. Allowed is .*\.$", sentence)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--mpm", "prefork", "--threads", "4"], ["option --threads", "4", "prefork", "Allowed is 1", "--mpm event"]),
        (
            ["--mpm", "prefork", "--max-open-connections", "9"],
            ["option --max-open-connections", "no max_open", "event"],
        ),
        (["--mpm", "worker", "--worker-connections", "9"], ["option --worker-connections", "worker MPM"]),
        (["--threads", "10", "--max-open-connections", "9"], ["--max-open-connections", "10", "option --threads"]),
        (["-b", ":80", "-b", ":80"], ["option -b", "twice"]),
        (["--limit-request-head", "4K"], ["option --limit-request-head", "limit_request_line", "8190", "8194"]),
        (["--response-limit", "128K"], ["option --response-limit", "response_memory", "256K"]),
        (
            ["--keep-alive", "3", "--request-read-timeout", "keep_alive=2.5"],
            ["option --keep-alive", "is 3 seconds", "option --request-read-timeout", "is 2.5", "leave one"],
        ),
        (["--mpm", "event", "-k", "sync"], ["option --mpm", "option -k", "both decide mpm"]),
        (["-w", "2", "--workers", "3"], ["option -w", "option --workers", "both decide workers"]),
        (["--interface", "asgi"], ["option --interface", "only WSGI"]),
        (["--access-log-format", "%!"], ["option --access-log-format", "%!"]),
    ],
)
def test_contradictions(world: World, words: list[str], parts: list[str]) -> None:
    sentence = refusal(world, *words)
    for part in parts:
        assert part in sentence


def test_the_same_address_may_be_named_twice_only_with_port_0(world: World) -> None:
    assert len(world.configure("-b", ":0", "-b", ":0").settings.listen.addresses) == 2


def test_the_last_of_the_same_option_wins(world: World) -> None:
    assert world.configure("--workers", "2", "--workers", "3").settings.capacity.start == 3


def test_two_spellings_that_agree_are_fine(world: World) -> None:
    assert world.configure("--workers", "2", "-w", "2").settings.capacity.start == 2


def test_without_an_application(world: World) -> None:
    assert "TRICORN_APP" in refusal(world, app=None)


@pytest.mark.parametrize("option", ["--user", "--group", "--unix-socket-user"])
def test_only_root_changes_identity(world: World, option: str) -> None:
    world.machine = replace(world.machine, user=1234, group=1234)
    assert "only root" in refusal(world, option, "0")
    assert "started by user 1234" in refusal(world, option, "1235")


def test_an_identity_that_is_there_already_needs_no_root(world: World) -> None:
    world.machine = replace(world.machine, user=1234, group=1235)
    settings = world.configure("--user", "1234", "--group", "1235", "--unix-socket-user", "1234").settings
    assert (settings.identity.user, settings.identity.group, settings.listen.unix_socket_user) == (1234, 1235, 1234)


def test_an_mpm_that_does_not_run_here(world: World) -> None:
    world.machine = replace(world.machine, platform="win32")
    assert "no MPM runs on it" in refusal(world)
    world.systems = lambda mpm: frozenset({"win32"} if mpm is Mpm.WORKER else {"linux"})
    sentence = refusal(world)
    assert "the event MPM does not run on this system (win32)" in sentence
    assert "use --mpm worker instead" in sentence


def test_platforms_are_matched_by_their_beginning(world: World) -> None:
    world.machine = replace(world.machine, platform="freebsd14")
    assert world.configure().settings.mpm is Mpm.EVENT


def test_an_mpm_not_in_force_is_checked_all_the_same(world: World) -> None:
    world.write("[prefork]\nthreads_per_child = 2\n[event]\nmax_open_connections = 3\n")
    sentence = refusal(world, "--mpm", "worker")
    assert "tricorn.toml line 2" in sentence
    assert "tricorn.toml line 4" in sentence


def test_a_variable_for_the_selected_mpm_and_one_for_this_mpm(world: World) -> None:
    world.variables.update({"TRICORN_START_SERVERS": "2", "TRICORN_EVENT_START_SERVERS": "3"})
    assert "both decide start_servers of the event MPM" in refusal(world)


def test_all_problems_are_told_at_once(world: World) -> None:
    world.write("treads = 1\n")
    world.variables["TRICORN_BACKLOG"] = "x"
    assert len(refusal(world, "--threads", "0").splitlines()) == 3


def test_a_user_brings_its_group(world: World) -> None:
    nobody = pwd.getpwnam("nobody")
    identity = world.configure("--user", "nobody").settings.identity
    assert (identity.user, identity.group) == (nobody.pw_uid, nobody.pw_gid)


def test_a_user_without_an_account_needs_a_group(world: World) -> None:
    assert "state group too" in refusal(world, "--user", "4000000001")
    assert world.configure("--user", "4000000001", "--group", "7").settings.identity.group == 7


def test_a_path_that_is_too_long_for_a_socket(world: World) -> None:
    sentence = refusal(world, "--control-socket", "/" + "x" * 107)
    assert sentence.startswith('option --control-socket: control_socket cannot be "/xxx')
    assert sentence.endswith("at most 107 bytes on this system. Choose a shorter one, or auto.")
    world.configure("--control-socket", "/" + "x" * 106)
    world.machine = replace(world.machine, platform="darwin")
    assert "at most 103 bytes" in refusal(world, "--control-socket", "/" + "x" * 106)


def test_a_format_of_ones_own_is_shown_to_the_engine(world: World) -> None:
    assert world.configure("--access-log-format", '%h "%r" %>s').settings.logs.access_log_format == '%h "%r" %>s'
