from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tricorn.errors import ConfigError, StartError
from tricorn.parent.pid_file import PidFile


def test_it_is_held_by_one_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    held = PidFile(path)
    assert (held.stale, path.read_text()) == (None, f"{os.getpid()}\n")
    with pytest.raises(StartError, match=f"held by a running server .pid {os.getpid()}."):
        PidFile(path)
    held.remove()
    assert not path.exists()


def test_what_a_dead_server_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    path.write_text("123456789 and more\n")
    held = PidFile(path)
    assert (held.stale, path.read_text()) == ("123456789 and more", f"{os.getpid()}\n")
    held.remove()


def test_somebody_elses_file_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    held = PidFile(path)
    path.unlink()
    path.write_text("another\n")
    held.remove()
    assert path.read_text() == "another\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    (tmp_path / "x.pid").symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigError, match="cannot be opened"):
        PidFile(tmp_path / "x.pid")
    assert (tmp_path / "precious").read_text() == "data"


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened: No such file or directory; make its directory first"):
        PidFile(tmp_path / "none" / "x.pid")


@contextmanager
def no_room() -> Iterator[None]:
    """No file takes a byte, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_at_the_start(tmp_path: Path) -> None:
    with no_room(), pytest.raises(StartError, match=r"pid_file: .* cannot be written: .*; make room for it"):
        PidFile(tmp_path / "x.pid")
    PidFile(tmp_path / "x.pid").remove()


def test_a_full_disk_ends_nobody_who_serves(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    held = PidFile(path)
    with no_room():
        assert not held.write(12345)
        assert not held.confirm()
    assert path.read_text() == f"{os.getpid()}\n"
    assert held.confirm()
    held.remove()
