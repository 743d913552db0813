"""Who may import whom. The contracts are in pyproject.toml; here they are run, and policy is read word for word."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT, named, short

PURE = {
    "__future__", "bisect", "collections", "dataclasses", "enum", "functools", "heapq", "itertools", "math", "operator",
    "types", "typing",
}  # fmt: skip


def test_the_rooms_import_downwards_only() -> None:
    result = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", named(".py", under="src/tricorn/policy"), ids=short)
def test_policy_imports_pure_modules_config_errors_and_itself(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            ours = name.startswith(("tricorn.policy", "tricorn.config", "tricorn.errors"))
            assert ours or name.partition(".")[0] in PURE, f"{short(path)}:{node.lineno} imports {name}"


def test_nothing_of_the_command_line_is_heavy_to_import() -> None:
    code = "import sys, tricorn.cli; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"asyncio", "http.server", "unittest", "xml", "multiprocessing", "concurrent", "sqlite3", "email"}
    assert not heavy & set(result.stdout.split())
