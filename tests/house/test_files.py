"""Files: their size, their names, their heads, and what none of them may say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.house.sources import ROOT, named, short, tracked

LONGEST = 500
LONGEST_TEST = 600  # tests and their applications are lists of cases
DUSTBINS = {"utils", "util", "common", "helpers", "helper", "misc", "stuff", "manager"}
# The only files that may contain `unsafe`; each says at its head why. A new one is a decision for review.
UNSAFE = {
    "rust/engine/src/drive/seat.rs",
    "rust/engine/src/net/unsent.rs",
    "rust/engine/src/net/unused.rs",
    "rust/engine/src/scoreboard.rs",
    "rust/engine/src/shared_memory.rs",
    "rust/binding/src/settings.rs",
    "rust/binding/src/wsgi/fast.rs",
    "rust/binding/src/wsgi/loan.rs",
    "rust/binding/src/wsgi/overdue.rs",
}

PYTHON = named(".py", ".pyi", under="src")
RUST = [path for path in named(".rs", under="rust") if "fuzz" not in path.parts]


def _unsafe_lines(path: Path) -> list[str]:
    code = [re.sub(r'//.*|"(?:[^"\\]|\\.)*"', "", line) for line in path.read_text().splitlines()]
    return [line for line in code if re.search(r"\bunsafe\b", line)]


@pytest.mark.parametrize("path", [*PYTHON, *RUST, *named(".py", under="tests")], ids=short)
def test_a_module_is_a_few_screens_long(path: Path) -> None:
    lines, longest = len(path.read_text().splitlines()), LONGEST_TEST if "tests" in path.parts else LONGEST
    assert lines <= longest, f"{short(path)} has {lines} lines: find the second thing in it, and give it a module"


@pytest.mark.parametrize("path", [*PYTHON, *RUST], ids=short)
def test_a_file_is_named_after_what_lives_in_it(path: Path) -> None:
    assert not {part.removesuffix(path.suffix) for part in path.parts} & DUSTBINS, (
        "a name that would fit any code fits none"
    )


@pytest.mark.parametrize("path", PYTHON, ids=short)
def test_a_python_module_begins_with_what_lives_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{short(path)} needs a docstring"


@pytest.mark.parametrize("path", [path for path in RUST if "tests" not in path.parts], ids=short)
def test_a_rust_module_begins_with_what_lives_in_it(path: Path) -> None:
    assert path.read_text().startswith("//!"), f"{short(path)} needs a `//!` comment as its first line"


@pytest.mark.parametrize("path", RUST, ids=short)
def test_unsafe_code_is_only_in_named_files(path: Path) -> None:
    found = _unsafe_lines(path)
    allowed = [line for line in found if re.search(r"(allow|deny|forbid)\(unsafe_code\)|unsafe_op_in_unsafe_fn", line)]
    assert short(path) in UNSAFE or found == allowed == [], found


def test_the_list_of_files_with_unsafe_code_is_not_longer_than_needed() -> None:
    needless = sorted(name for name in UNSAFE if not (ROOT / name).exists() or not _unsafe_lines(ROOT / name))
    assert not needless, f"no unsafe code in {needless}: take them from the list"


@pytest.mark.parametrize("path", named(".py", ".pyi", ".rs", ".md", ".toml", ".txt"), ids=short)
def test_no_file_names_the_machine_it_was_written_on(path: Path) -> None:
    text = path.read_text()
    # Written apart, so that this file may pass its own test.
    places = ["/" + "work/", "/" + "root/", "/tmp/" + "brief", "/tmp/" + "venv", "/tmp/" + "target"]
    assert not [place for place in places if place in text]
    assert "\N{EM DASH}" not in text, "a colon, a comma or a full stop says it better"


def test_no_built_file_is_under_version_control() -> None:
    built = {".so", ".pyc", ".whl", ".o", ".rlib"}
    assert not [short(path) for path in tracked() if path.suffix in built]
