from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tricorn.config.settings import LogLevel, Logs
from tricorn.errors import ConfigError
from tricorn.logs import ErrorLog, open_logs, reopen


def logs(directory: Path, access: str | None = "access.log") -> Logs:
    named = access if access in (None, "-") else str(directory / access)
    return Logs(str(directory / "error.log"), LogLevel.INFO, named, "common")


def move_away(directory: Path) -> None:
    for path in list(directory.glob("*.log")):
        path.rename(path.with_suffix(".log.1"))


def test_whoever_writes_to_the_number_writes_to_the_new_file(tmp_path: Path) -> None:
    files = open_logs(logs(tmp_path))
    assert files.access is not None
    log = ErrorLog(files.error, LogLevel.INFO, "parent")
    log.info("before")
    move_away(tmp_path)
    log.info("between")
    new = reopen(logs(tmp_path))
    files.adopt(new.error, new.access)
    new.close()
    log.info("after")
    os.write(files.access, b"an answer\n")
    assert [line[-7:] for line in (tmp_path / "error.log.1").read_text().splitlines()] == [" before", "between"]
    assert (tmp_path / "error.log").read_text().endswith(" after\n")
    assert (tmp_path / "access.log").read_text() == "an answer\n"
    assert not os.get_inheritable(files.error)
    assert not os.get_inheritable(files.access)
    files.close()


def test_no_line_is_lost_or_torn_while_it_happens(tmp_path: Path) -> None:
    files = open_logs(logs(tmp_path, None))
    began = threading.Barrier(2)

    def write() -> None:
        log = ErrorLog(files.error, LogLevel.INFO, "parent")
        began.wait()
        for number in range(5000):
            text = f"line {number}"
            log.info(text)

    writer = threading.Thread(target=write)
    writer.start()
    began.wait()
    rounds = 0
    while writer.is_alive():
        rounds += 1
        (tmp_path / "error.log").rename(tmp_path / f"error.log.{rounds:05}")
        new = reopen(logs(tmp_path, None))
        files.adopt(new.error, new.access)
        new.close()
    writer.join()
    files.close()
    text = "".join(
        path.read_text() for path in sorted(tmp_path.iterdir(), key=lambda path: path.suffix.replace(".log", "~"))
    )
    assert [line.partition("line ")[2] for line in text.splitlines()] == [str(number) for number in range(5000)]
    assert rounds > 1


def test_standard_streams_stay(tmp_path: Path) -> None:
    streams = Logs("-", LogLevel.INFO, "-", "common")
    files = open_logs(streams)
    before = os.fstat(1).st_ino, os.fstat(2).st_ino
    new = reopen(streams)
    assert (new.error, new.access) == (None, None)
    files.adopt(new.error, new.access)
    other = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    if files.access == 1:
        files.adopt(None, other)
    assert (os.fstat(1).st_ino, os.fstat(2).st_ino) == before
    os.close(other)
    files.close()


@pytest.mark.parametrize("directive", ["error_log", "access_log"])
def test_a_file_that_cannot_be_had_leaves_both_as_they_are(tmp_path: Path, directive: str) -> None:
    files = open_logs(logs(tmp_path))
    move_away(tmp_path)
    (tmp_path / directive.replace("_", ".")).mkdir()
    held = len(os.listdir("/dev/fd"))
    with pytest.raises(ConfigError, match=f"^{directive}: .* cannot be opened for appending: Is a directory"):
        reopen(logs(tmp_path))
    assert len(os.listdir("/dev/fd")) == held
    os.write(files.error, b"goes on\n")
    assert (tmp_path / "error.log.1").read_text() == "goes on\n"
    files.close()


def test_a_log_that_is_not_kept_is_not_opened(tmp_path: Path) -> None:
    files = open_logs(logs(tmp_path, None))
    new = reopen(logs(tmp_path, None))
    assert new.access is None
    files.adopt(new.error, new.access)
    new.close()
    files.close()
    assert os.listdir(tmp_path) == ["error.log"]
