"""Values that are written once in Rust and once in Python say the same, and what is generated is fresh."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT, named, tracked
from tricorn import config
from tricorn.config import directives, settings

ENGINE = ROOT / "rust/engine/src"


def _fields_of_rust_struct(path: Path, name: str) -> list[str]:
    body = re.search(rf"pub struct {name} \{{(.*?)\n\}}", path.read_text(), re.DOTALL)
    assert body, f"{path} has no struct {name}"
    return re.findall(r"^\s*pub (\w+):", body[1], re.MULTILINE)


def _fields(cls: type) -> list[str]:
    assert dataclasses.is_dataclass(cls)
    return [field.name for field in dataclasses.fields(cls)]


def test_limits_are_the_same_in_the_engine_and_in_the_settings() -> None:
    assert _fields_of_rust_struct(ENGINE / "limits.rs", "Limits") == _fields(settings.Limits)


def test_the_version_is_the_same_everywhere() -> None:
    cargo = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert cargo
    shown = subprocess.run([sys.executable, "-m", "tricorn", "--version"], capture_output=True, text=True, check=True)
    assert cargo[1] in shown.stdout
    assert (
        f"## [{cargo[1]}]" in (ROOT / "CHANGELOG.md").read_text()
        or "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
    )


def test_every_stage_has_one_name_in_the_engine_and_in_its_manual() -> None:
    sources = "\n".join(path.read_text() for path in named(".rs", under="rust/engine/src"))
    stage = re.search(r"pub enum Stage \{(.*?)\n\}", sources, re.DOTALL)
    assert stage, "the engine has no enum Stage"
    variants = {name.lower() for name in re.findall(r"^    (\w+)(?: = \d+)?,", stage[1], re.MULTILINE)}
    words = {re.sub(r"(?<!^)_", "", word) for word in _words_of_a_row("stages")}
    assert words - {"idle"} <= {v.replace("_", "") for v in variants}, f"{words} against {variants}"


def test_what_a_child_does_has_one_word_in_the_engine_and_in_its_manual() -> None:
    words = re.search(
        r"enum ChildState .*?fn word.*?\{(.*?)\n    \}", (ENGINE / "scoreboard.rs").read_text(), re.DOTALL
    )
    assert words, "the engine has no words for ChildState"
    assert set(re.findall(r'"(\w+)"', words[1])) - {"empty"} == _words_of_a_row("state")


def test_what_wears_a_child_is_named_like_its_directive() -> None:
    named_there = set(re.findall(r'=> "(\w+)"', (ENGINE / "drive/wear.rs").read_text()))
    assert len(named_there) > 1
    assert named_there <= {directive.name for directive in directives.table()}


def _words_of_a_row(field: str) -> set[str]:
    manual = ast.parse((ROOT / "src/tricorn/_engine.pyi").read_text())
    row = next(node for node in manual.body if isinstance(node, ast.ClassDef) and node.name == "ChildRow")
    text = next(
        node.value.value
        for before, node in zip(row.body, row.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and before.target.id == field
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
    )
    return set(re.findall(r'"(\w+)"', str(text)))


def test_the_reference_of_directives_is_fresh() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tricorn", "directives", "--markdown"], capture_output=True, text=True, check=True
    )
    page = ROOT / "docs/reference/directives.md"
    assert page.read_text() == shown.stdout, "run: make format"


@pytest.mark.parametrize("page", [*named(".md")], ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_rooms_are_on_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = {
        path.name for path in Path(config.__file__).parents[1].iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    rooms |= {path.name for path in Path(config.__file__).parents[1].glob("[!_]*.py")}
    rooms |= {path.stem for path in ENGINE.iterdir()} - {"lib"}
    rooms |= {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT} - {
        ".ci",
        "src",
        "requirements",
    }
    assert not {room for room in rooms if not re.search(rf"\b{room}\b", text)}


def test_every_directive_is_used_by_a_server_test_or_a_unit_test() -> None:
    texts = "\n".join(path.read_text() for path in named(".py", ".toml", under="tests") if "house" not in path.parts)
    names = [directive.name for directive in directives.table()]
    assert len(names) > 30
    assert not [name for name in names if name not in texts and name.replace("_", "-") not in texts]
