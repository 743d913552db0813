from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from tricorn.template.fork_safety import findings, open_descriptors


def test_nothing_new_is_nothing_found() -> None:
    before = open_descriptors()
    assert [finding for finding in findings(before) if "thread" not in finding] == []


def test_threads_are_named() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="poller")
    thread.start()
    try:
        assert "the thread 'poller'" in findings(open_descriptors())
    finally:
        done.set()
        thread.join()


def test_sockets_pipes_and_writable_files_are_found_and_logs_are_not(tmp_path: Path) -> None:
    before = open_descriptors()
    ends = socket.socketpair()
    pipe = os.pipe()
    log = (tmp_path / "x.log").open("a")
    database = (tmp_path / "x.db").open("w+b")
    reader = (tmp_path / "x.log").open()
    try:
        found = [finding for finding in findings(before) if "thread" not in finding]
        kinds = [finding.split()[1] for finding in found]
        assert kinds.count("socket") == 2
        assert kinds.count("pipe") == 2
        assert [finding for finding in found if "file" in finding and "x.db" in finding]
        assert not [finding for finding in found if "x.log" in finding]
    finally:
        for end in ends:
            end.close()
        for fd in pipe:
            os.close(fd)
        for file in (log, database, reader):
            file.close()
