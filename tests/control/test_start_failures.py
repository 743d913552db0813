"""A server that cannot start says why in one sentence, leaves with the right code, and leaves nothing behind."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tricorn.testing import Server

Start = Callable[..., Server]


def outcome(server: Server) -> tuple[int, str]:
    code = server.wait(20)
    server.log.wait_for_end()
    server.check_leftovers()
    return code, server.log.text()


@pytest.mark.parametrize("preload", ["auto", "off"])
def test_an_application_that_raises_at_import_gives_3_and_its_traceback(
    launch: Start, site: Path, preload: str
) -> None:
    (site / "broken.py").write_text("def inner():\n    raise RuntimeError('not today')\ninner()\n")
    code, text = outcome(launch("--preload", preload, application="broken"))
    assert code == 3
    assert "importing broken failed" in text
    assert "RuntimeError: not today" in text
    assert "broken.py" in text and "in inner" in text
    assert "application.py" not in text, "the server's own frames are of no use to the reader"


def test_a_module_that_is_not_there_gives_3(launch: Start) -> None:
    code, text = outcome(launch(application="tolled"))
    assert code == 3
    assert "there is no module 'tolled'" in text
    assert "did you mean told?" in text


def test_an_application_that_exits_at_import_gives_3(launch: Start, site: Path) -> None:
    (site / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    code, text = outcome(launch(application="leaves"))
    assert (code, "SystemExit: 0" in text) == (3, True)


def test_an_application_that_kills_its_process_at_import_gives_5(launch: Start, site: Path) -> None:
    (site / "dies.py").write_text("import os\nos._exit(0)\n")
    code, text = outcome(launch(application="dies"))
    assert code == 5
    assert "the template ended unasked: exit code 0" in text


def test_an_import_that_hangs_gives_5(launch: Start, site: Path) -> None:
    (site / "hangs.py").write_text("import time\ntime.sleep(60)\n")
    code, text = outcome(launch("--start-timeout", "0.5", application="hangs"))
    assert code == 5
    assert "not imported after 0.5 s (start_timeout)" in text


def test_an_asgi_application_gives_3_and_says_what_to_do(launch: Start, site: Path) -> None:
    (site / "asynchronous.py").write_text("async def app(scope, receive, send): ...\n")
    code, text = outcome(launch(application="asynchronous:app"))
    assert code == 3
    assert "is an ASGI application; this version serves WSGI only" in text


def test_a_port_in_use_gives_4_and_says_how_to_find_who_has_it(launch: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, text = outcome(launch("--bind", f"127.0.0.1:{port}"))
    assert code == 4
    assert f"port {port} is in use" in text
    assert f"ss -ltnp 'sport = :{port}'" in text


def test_an_address_of_another_machine_gives_4(launch: Start) -> None:
    code, text = outcome(launch("--bind", "192.0.2.1:8000"))
    assert (code, "no interface of this machine has the address 192.0.2.1" in text) == (4, True)


def test_a_host_that_does_not_resolve_gives_4(launch: Start) -> None:
    code, text = outcome(launch("--bind", "no-such-host.invalid:8000"))
    assert (code, "the host cannot be resolved" in text) == (4, True)


def test_a_socket_in_a_directory_that_is_not_there_gives_4(launch: Start, tmp_path: Path) -> None:
    code, text = outcome(launch("--bind", f"unix:{tmp_path}/missing/x.sock"))
    assert (code, f"the directory {tmp_path}/missing does not exist" in text) == (4, True)


def test_a_socket_path_that_is_too_long_gives_4(launch: Start, tmp_path: Path) -> None:
    code, text = outcome(launch("--bind", f"unix:{tmp_path}/{'x' * 120}"))
    assert (code, "choose a shorter one" in text) == (4, True)


def test_a_descriptor_that_is_not_open_gives_4(launch: Start) -> None:
    code, text = outcome(launch("--bind", "fd://77"))
    assert (code, "fd://77: this descriptor is not open" in text) == (4, True)


def test_what_was_opened_before_the_failure_is_removed(launch: Start, tmp_path: Path) -> None:
    path = tmp_path / "first.sock"
    code, _ = outcome(launch("--bind", f"unix:{path}", "--bind", "192.0.2.1:8000"))
    assert code == 4
    assert not path.exists()


def test_a_log_that_cannot_be_opened_gives_2(launch: Start, tmp_path: Path) -> None:
    code, text = outcome(launch("--error-log", f"{tmp_path}/missing/error.log"))
    assert (code, "error_log: " in text) == (2, True)


def test_a_failure_is_told_in_the_log_file_and_on_the_terminal(launch: Start, tmp_path: Path) -> None:
    file = tmp_path / "error.log"
    code, text = outcome(launch("--error-log", str(file), application="absent"))
    assert code == 3
    assert "there is no module 'absent'" in text
    assert "there is no module 'absent'" in file.read_text()
