from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tricorn.config.settings import LogLevel, Logs
from tricorn.errors import ConfigError
from tricorn.logs import ErrorLog, ErrorsStream, open_logs
from tricorn.logs.error_log import entry

WHEN = datetime(2026, 11, 23, 1, 20, 0, 123_456, tzinfo=UTC)


def test_the_format() -> None:
    line = entry(WHEN, LogLevel.INFO, "parent", "text key=value")
    assert line == b"2026-11-23T01:20:00.123Z info    parent: text key=value\n"


def test_further_lines_are_indented_so_that_nobody_can_forge_an_entry() -> None:
    forged = "text\n2026-11-23T01:20:00.123Z info    parent: stops\x1b[2J\r\x00"
    assert entry(WHEN, LogLevel.ERROR, "child=1", forged).decode().splitlines() == [
        "2026-11-23T01:20:00.123Z error   child=1: text",
        "    2026-11-23T01:20:00.123Z info    parent: stops\\x1b[2J",
        "    \\x00",
    ]


def test_an_entry_is_bounded() -> None:
    assert len(entry(WHEN, LogLevel.INFO, "parent", "x" * 10_000_000)) < 70_000


@pytest.mark.parametrize(
    ("level", "shown"),
    [(LogLevel.ERROR, "e"), (LogLevel.WARNING, "ew"), (LogLevel.INFO, "ewi"), (LogLevel.DEBUG, "ewid")],
)
def test_levels(tmp_path: Path, level: LogLevel, shown: str) -> None:
    with (tmp_path / "log").open("wb") as file:
        log = ErrorLog(file.fileno(), level, "parent")
        log.error("e")
        log.warning("w")
        log.info("i")
        log.debug("d")
        log.always("told at every level")
    lines = (tmp_path / "log").read_text().splitlines()
    assert "".join(line[-1] for line in lines[:-1]) == shown
    assert lines[-1].endswith("told at every level")


def test_a_reader_that_has_stopped_reading_stops_nobody() -> None:
    reading, writing = os.pipe()
    log = ErrorLog(writing, LogLevel.INFO, "parent")
    for _ in range(3000):
        log.info("x" * 100)
    while len(os.read(reading, 65536)) == 65536:
        pass
    log.info("the reader is back")
    text = os.read(reading, 65536).decode()
    assert re.search(r"warning parent: \d+ entries were lost here", text)
    assert text.endswith("the reader is back\n")
    os.close(reading)
    log.info("and gone")
    os.close(writing)


def test_the_errors_stream_writes_whole_lines(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        stream = ErrorsStream(ErrorLog(file.fileno(), LogLevel.ERROR, "child=1"))
        stream.write("one, ")
        stream.write("two\nthree")
        stream.writelines(["\n", "four\n"])
        stream.write("five")
        stream.flush()
        stream.flush()
        print("six", file=stream)
        stream.write("x" * 20_000)
    lines = [line.partition("child=1: application: ")[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[:5] == ["one, two", "three", "four", "five", "six"]
    assert [len(line) for line in lines[5:]] == [8192, 8192]


def test_log_files_are_opened_for_appending_and_not_inherited(tmp_path: Path) -> None:
    file = tmp_path / "error.log"
    file.write_text("before\n")
    files = open_logs(Logs(str(file), LogLevel.INFO, "-", "common"))
    assert files.access == 1
    os.write(files.error, b"after\n")
    assert not os.get_inheritable(files.error)
    files.close()
    assert file.read_text() == "before\nafter\n"


def test_a_log_that_cannot_be_opened_names_its_directive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^access_log: .*missing"):
        open_logs(Logs(str(tmp_path / "error.log"), LogLevel.INFO, str(tmp_path / "missing" / "x"), "common"))


def test_long_entries_into_a_pipe_that_nobody_reads_stop_nobody(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="nobody reads this pipe"):
        open_logs(Logs(str(pipe), LogLevel.INFO, None, "common"))
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files = open_logs(Logs(str(pipe), LogLevel.INFO, None, "common"))
    log = ErrorLog(files.error, LogLevel.INFO, "parent")
    for _ in range(100):
        log.info("x" * 50_000)
    while os.read(reading, 1 << 20)[-1:] == b"x":
        log.info("the reader is back")
    log.info("the reader is back")
    last = os.read(reading, 1 << 20).decode().splitlines()[-1]
    assert last.endswith("the reader is back")
    assert last.startswith("20"), "a line of its own, whatever was cut off before"
    os.close(reading)
    files.close()


def test_a_standard_error_that_is_a_pipe_is_written_without_waiting_and_left_alone(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    before = os.dup(2)
    os.dup2(writing, 2)
    try:
        files = open_logs(Logs("-", LogLevel.INFO, None, "common"))
        waits = os.get_blocking(2), os.get_blocking(files.error)
    finally:
        os.dup2(before, 2)
    assert waits == ((True, False) if sys.platform == "linux" else (True, True))
    files.close()
    for fd in (before, reading, writing):
        os.close(fd)
