"""The command `tricorn` as a process would run it: words in, text and exit code out."""

from __future__ import annotations

import grp
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tricorn.cli.entry import COMMANDS, run, with_command
from tricorn.cli.options import help_rows
from tricorn.config import reference
from tricorn.config.directives import table
from tricorn.config.directives.shape import Section
from tricorn.config.settings import Mpm

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "reference/directives.md"
EXAMPLE = re.compile(r"    (?:gunicorn|uvicorn|tricorn serve|tricorn check) (.*)")
EXAMPLES = [
    pytest.param(match[1], id=f"{name}:{number}")
    for name in ("../README.md", "configure.md", "migrate.md", "operate.md", "sizing.md")
    for number, line in enumerate((DOCS / name).read_text().splitlines(), start=1)
    if (match := EXAMPLE.fullmatch(line))
]
Command = Callable[..., "Outcome"]


class Outcome:
    def __init__(self, code: int, output: str, errors: str) -> None:
        self.code, self.output, self.errors = code, output, errors


@pytest.fixture
def tricorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command line in an empty directory with an environment of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("PORT", "WEB_CONCURRENCY", "SCRIPT_NAME", "GUNICORN_CMD_ARGS"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            run(words)
        captured = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return Outcome(caught.value.code, captured.out, captured.err)

    return call


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["app"], ["serve", "app"]),
        (["-w", "4", "app"], ["serve", "-w", "4", "app"]),
        (["serve", "app"], ["serve", "app"]),
        (["check", "app"], ["check", "app"]),
        (["directives"], ["directives"]),
        (["--help"], ["--help"]),
        (["--version"], ["--version"]),
        ([], []),
    ],
)
def test_serve_is_the_command_that_is_meant(words: list[str], meant: list[str]) -> None:
    assert with_command(words) == meant


def test_help(tricorn: Command) -> None:
    outcome = tricorn("--help")
    assert outcome.code == 0
    assert all(command in outcome.output for command in COMMANDS)
    assert "Exit codes: 0 done" in outcome.output


@pytest.mark.parametrize("command", ["serve", "check"])
def test_help_of_a_command_names_every_directive(tricorn: Command, command: str) -> None:
    outcome = tricorn(command, "--help")
    assert outcome.code == 0
    for directive in table():
        assert directive.name == "app" or directive.option in outcome.output
    assert "Exit codes" in outcome.output


def test_a_row_of_the_help_begins_with_the_name_of_the_directive() -> None:
    for directive in table():
        for flags, _ in help_rows(directive.section):
            names = [flag.split(" ")[0] for flag in flags.split(", ")]
            first = next((name for name in names if name.startswith("--")), "")
            if directive.option in names:
                assert first == directive.option


def test_no_words_at_all_get_the_help(tricorn: Command) -> None:
    outcome = tricorn()
    assert (outcome.code, outcome.output) == (2, "")
    assert outcome.errors.startswith("Usage: tricorn ")


def test_help_rows_cover_the_table() -> None:
    assert sum(len(list(help_rows(section))) for section in Section) == len(table()) - 1


def test_version(tricorn: Command) -> None:
    outcome = tricorn("--version")
    assert (outcome.code, outcome.output.split()[0]) == (0, "tricorn")


@pytest.mark.parametrize("words", [["serve", "-w", "0", "a:b"], ["-w", "0", "a:b"], ["check", "-w", "0", "a:b"]])
def test_a_wrong_value(tricorn: Command, words: list[str]) -> None:
    outcome = tricorn(*words)
    assert outcome.code == 2
    assert outcome.errors.startswith('tricorn: error: option -w: workers cannot be "0": it is too small.')
    assert outcome.output == ""


def test_several_problems_are_a_line_each(tricorn: Command) -> None:
    outcome = tricorn("-w", "0", "--threads", "x", "-D", "a:b")
    assert [line[:16] for line in outcome.errors.splitlines()] == ["tricorn: error: "] * 3


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["serve", "a:b", "--nosuch"], "No such option"),
        (["serve", "a:b", "--thread", "3"], "--threads"),
        (["serve", "a:b", "-w"], "requires an argument"),
        (["serve", "a", "b"], 'there is one application, not 2: "a" and "b"'),
        (["chek", "a"], "did you mean: tricorn check"),
        (["a:b", "--mpm", "evnt"], "there is no such choice (did you mean event?). Allowed is one of prefork"),
        (["serve"], "no application is named"),
    ],
)
def test_wrong_usage(tricorn: Command, words: list[str], part: str) -> None:
    outcome = tricorn(*words)
    assert outcome.code == 2
    assert part in outcome.errors


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["relaod", "--nonsense"], "reload"),
        (["reopenlogs", "now"], "reopen-logs"),
        (["restart", "now"], "reload"),
        (["help", "serve"], "--help"),
    ],
)
def test_a_misspelt_command_is_taken_for_an_application_and_told_of(
    tricorn: Command, words: list[str], meant: str
) -> None:
    outcome = tricorn(*words)
    assert outcome.code == 2
    assert outcome.errors.endswith(f"did you mean: tricorn {meant}\n")


def test_what_is_no_misspelt_command_is_no_command(tricorn: Command) -> None:
    assert "did you mean: tricorn" not in tricorn("my.project:app", "--mpm", "nonsense").errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [["--version"], ["directives"], ["serve", "--help"], ["why", "--help"]])
def test_output_that_cannot_be_written(tmp_path: Path, words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "tricorn", *words]
        outcome = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert outcome.returncode == 1
    assert outcome.stderr == "tricorn: error: the output cannot be written: No space left on device\n"


def test_check_prints_values_and_origins(tricorn: Command) -> None:
    outcome = tricorn("check", "--no-import", "-w", "3", "a:b", "--statsd-host", "h")
    assert outcome.code == 0
    lines = {line.split()[0]: line for line in outcome.output.splitlines()}
    assert set(lines) >= {directive.name for directive in table() if Mpm.EVENT in directive.mpms}
    assert lines["workers"].split() == ["workers", "3", "option", "-w"]
    assert lines["always"].split() == ["always", "3", "children,", "24", "threads", "workers:", "option", "-w"]
    assert lines["backlog"].split() == ["backlog", "2048", "default"]
    assert "tricorn: warning: option --statsd-host has no effect" in outcome.errors


def test_check_as_json(tricorn: Command) -> None:
    Path("tricorn.toml").write_text("\nbacklog = 9\n[prefork]\nstart_servers = 7\n")
    outcome = tricorn("check", "--no-import", "--json", "a:b", "--statsd-host", "h")
    document = json.loads(outcome.output)
    assert document["directives"]["backlog"] == {
        "value": 9,
        "origins": [{"source": "file", "name": "tricorn.toml", "line": 2, "text": "tricorn.toml line 2"}],
    }
    assert document["mpm"] == "event"
    assert document["file"] == "tricorn.toml"
    assert document["not_in_force"]["prefork"]["start_servers"]["value"] == 7
    assert document["application"] is None
    assert "--statsd-host" in document["warnings"][0]
    assert outcome.errors == ""


def test_check_as_toml_says_the_same(tricorn: Command) -> None:
    first = tricorn("check", "--no-import", "--toml", "-k", "sync", "-w", "3", "-b", ":1", "-e", 'A="\\\t', "a:b")
    assert tomllib.loads(first.output)["prefork"] == {"workers": 3}
    Path("tricorn.toml").write_text(first.output)
    assert tricorn("check", "--no-import", "--toml").output == first.output


@pytest.mark.parametrize(
    ("words", "value", "app"),
    [
        (["--preload", "a:b"], "on", "a:b"),
        (["a:b", "--preload"], "on", "a:b"),
        (["--preload", "off", "a:b"], "off", "a:b"),
        (["--preload=auto", "a:b"], "auto", "a:b"),
        (["--preload", "--workers", "3", "a:b"], "on", "a:b"),
    ],
)
def test_a_bare_preload_is_gunicorns(tricorn: Command, words: list[str], value: str, app: str) -> None:
    document = json.loads(tricorn("check", "--no-import", "--json", *words).output)
    assert document["directives"]["preload"]["value"] == value
    assert document["directives"]["app"]["value"] == app


def in_its_own_process(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Importing an application changes the process that does it, so that is not this one."""
    command = [sys.executable, "-m", "tricorn", *words]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=50, check=False)


def test_check_imports_the_application(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text("def application(environ, start_response): ...\n")
    outcome = in_its_own_process(tmp_path, "check", "--json", "project")
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["application"] == {"reference": "project", "interface": "wsgi"}


def test_check_tells_of_an_application_that_cannot_be_imported(tmp_path: Path) -> None:
    outcome = in_its_own_process(tmp_path, "check", "no_such_project:app")
    assert outcome.returncode == 3
    assert outcome.stderr.startswith("tricorn: error: ")
    assert "no_such_project" in outcome.stderr


def test_check_tells_of_an_asgi_application(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text("async def app(scope, receive, send): ...\n")
    outcome = in_its_own_process(tmp_path, "check", "project:app")
    assert outcome.returncode == 3
    assert "ASGI" in outcome.stderr


def test_directives(tricorn: Command) -> None:
    outcome = tricorn("directives")
    assert outcome.code == 0
    for directive in table():
        assert f"\n{directive.name}\n" in "\n" + outcome.output


def test_the_committed_reference_is_fresh(tricorn: Command) -> None:
    outcome = tricorn("directives", "--markdown")
    assert outcome.output == PAGE.read_text(), "run: make format"
    assert reference.as_markdown() + "\n" == outcome.output


def test_the_documentation_has_examples() -> None:
    assert len(EXAMPLES) > 15


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_of_the_documentation_work(tricorn: Command, line: str) -> None:
    words = [word.replace("www-data", grp.getgrgid(os.getgid()).gr_name) for word in shlex.split(line, comments=True)]
    outcome = tricorn("check", "--no-import", *words)
    assert outcome.code == 0, outcome.errors


def test_the_file_of_the_documentation_works(tricorn: Command) -> None:
    page = (DOCS / "configure.md").read_text().split("## A file")[1].split("In `pyproject.toml`")[0]
    Path("tricorn.toml").write_text("\n".join(line.removeprefix("    ") for line in page.splitlines()))
    document = json.loads(tricorn("check", "--no-import", "--json").output)
    assert document["directives"]["max_open_connections"]["value"] == 10_000
    assert (
        json.loads(tricorn("check", "--no-import", "--json", "--mpm", "prefork").output)["capacity"]["children"][
            "start"
        ]
        == 12
    )
