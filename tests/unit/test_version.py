from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tricorn.version import installed_version


def test_the_version_is_in_the_name_of_the_metadata_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tricorn-9.8.7rc1.dist-info").mkdir()
    (tmp_path / "tricorn_plugin-1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "archive.zip"), str(tmp_path)])
    assert installed_version() == "9.8.7rc1"


def test_a_tree_that_nobody_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert installed_version() == "(not installed)"


def test_importlib_metadata_says_the_same() -> None:
    found = installed_version()
    if found == "(not installed)":
        pytest.skip("this interpreter runs a source tree")
    assert found == version("tricorn")
