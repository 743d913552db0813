"""What the pages show can be done as shown: files, options, names; each page is linked.

The command lines of the pages are tested in tests/unit/cli.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.unit.config.world import World
from tests.unit.control.fake_server import facts
from tricorn import errors, testing
from tricorn.cli.entry import COMMANDS
from tricorn.config import commandline, show
from tricorn.config.settings import Mpm
from tricorn.control.messages import Verb
from tricorn.parent import signals
from tricorn.status.report import report
from tricorn.status.text import WIDTH, status_text

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z_-]+")


def blocks(page: Path) -> Iterator[tuple[int, str, str]]:
    """The code blocks of a page: the line of each, its language ("" where it is indented only), its text."""
    lines = page.read_text().splitlines()
    number = 0
    while number < len(lines):
        start, found = number, []
        if fence := re.fullmatch(r"```(\w*)", lines[number]):
            number += 1
            while lines[number] != "```":
                found.append(lines[number])
                number += 1
            yield start + 1, fence[1], "\n".join(found)
        elif lines[number].startswith("    ") and not (start and lines[start - 1]):
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number]):
                found.append(lines[number].removeprefix("    "))
                number += 1
            yield start + 1, "", "\n".join(found).rstrip()
        number += 1


def is_toml(text: str) -> bool:
    """Whether a block without a language is meant as TOML: its first line states a value or opens a table."""
    return re.match(r'\[[a-z_.]+\]$|[a-z_]+ = ["\[{0-9tf]', text.splitlines()[0]) is not None


TOML = [
    pytest.param(text, id=f"{page.name}:{number}")
    for page in PAGES
    for number, language, text in blocks(page)
    if language == "toml" or (not language and is_toml(text))
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_pages_have_examples() -> None:
    assert len(TOML) >= 2


@pytest.mark.parametrize("mpm", list(Mpm))
@pytest.mark.parametrize("text", TOML)
def test_files_work_under_each_mpm(world: World, text: str, mpm: Mpm) -> None:
    world.write(text)
    app = None if "app" in tomllib.loads(text) else "project:app"
    configuration = world.configure("--mpm", mpm.value, app=app)
    assert configuration.warnings == ()
    in_force = json.loads(show.as_json(configuration, None))["directives"]
    stated = tomllib.loads(text)
    own = stated.get(mpm.value, {})
    common = [key for key in stated if key not in [each.value for each in Mpm] and key != "mpm"]
    for key in [*common, *own]:
        assert in_force[key]["origins"][0]["source"] == "file"
    for key, value in own.items():
        assert in_force[key]["value"] == value


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_text_exist(page: Path) -> None:
    own = {*commandline.spellings(), "--config", "--version", "--help", "--json", "--toml", "--no-import"}
    own |= {"--socket", "--now", "--max", "--timeout"}  # of the verbs
    of_benchmarks = {"--quick", "--only", "--rounds"} if page.name == "benchmarks.md" else set()
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL).replace("--ssl-...", "")
    # Units and snippets for other programs call ours by its path.
    text += "".join(re.findall(r"/bin/tricorn .*", page.read_text()))
    assert not set(OPTION.findall(text)) - own - of_benchmarks


def test_every_page_is_linked_from_the_list_of_pages() -> None:
    index = (ROOT / "docs/index.md").read_text()
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    wanted = [str(page) for page in pages if page.parent.name != "decisions" and page.name != "index.md"]
    assert not [page for page in [*wanted, "decisions/README.md"] if f"({page})" not in index]


def test_every_decision_is_linked_from_the_list_of_decisions() -> None:
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text()
    assert not [path.name for path in folder.glob("[0-9]*.md") if f"({path.name})" not in listed]


def test_every_signal_is_on_the_page_for_operators() -> None:
    page = (ROOT / "docs/operate.md").read_text()
    table = page.split("## Signals")[1].split("## Reload")[0]
    known = {meaning.number.name.removeprefix("SIG") for meaning in signals.TABLE} - {"CHLD"}
    assert {word for word in known if re.search(rf"^\|.*\b{word}\b.*\|", table, re.MULTILINE)} == known


def test_what_the_page_about_testing_names_exists() -> None:
    page = (ROOT / "docs/testing.md").read_text()
    compile(
        next(text for _, language, text in blocks(ROOT / "docs/testing.md") if language == "python"), "page", "exec"
    )
    names = re.findall(r"`server\.(\w+)", page) + re.findall(r", `server\.(\w+)", page)
    assert len(names) >= 5
    annotations = set(dir(testing.Server)) | set(testing.Server.__init__.__annotations__)
    assert not [name for name in names if name not in annotations]


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md"]:
        text = page.read_text()
        named = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^    make ([a-z-]+)", text, re.MULTILINE))
        assert not named - targets, page.name


def test_every_exit_code_is_on_the_page() -> None:
    for command in COMMANDS:  # some have errors of their own
        import_module(f"tricorn.cli.{command.replace('-', '_')}")
    page = (ROOT / "docs/configure.md").read_text().split("## Exit codes")[1].split("\n## ")[0]
    codes = {kind.exit_code for kind in errors.TricornError.__subclasses__()} | {errors.TricornError.exit_code, 0, 130}
    assert {int(code) for code in re.findall(r"^\| (\d+) \| .+ \|$", page, re.MULTILINE)} == codes


def test_every_verb_is_on_the_page_about_control() -> None:
    rows = re.findall(r"^\| `tricorn ([a-z-]+)", (ROOT / "docs/control.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(verb.value for verb in Verb)


def test_the_status_on_the_page_is_what_is_printed() -> None:
    page = (ROOT / "docs/control.md").read_text()
    shown = next(text for _, _, text in blocks(ROOT / "docs/control.md") if text.startswith("$ tricorn status\n"))
    data = report(facts(pid=4711))
    assert shown.removeprefix("$ tricorn status\n") == status_text(data, WIDTH)
    assert not [key for key in data if f"`{key}`" not in page]
