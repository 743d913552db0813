"""The parent's end of the control socket against clients of every kind, honest and not."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.forks import Forked
from tests.unit.control.fake_server import Operations, Server
from tricorn.control.messages import LONGEST_ANSWER, LONGEST_REQUEST, Outcome
from tricorn.control.places import is_alive
from tricorn.errors import ListenError
from tricorn.logs import ErrorLog
from tricorn.parent import session
from tricorn.parent.control import MOST_SESSIONS, ControlSocket, open_control


def connect(server: Server) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end.settimeout(20)
    end.connect(str(server.control.path))
    return end


def answers(end: socket.socket) -> list[dict[str, Any]]:
    """All that the server says until it closes."""
    data = b""
    while True:
        try:
            piece = end.recv(1 << 16)
        except ConnectionResetError:
            piece = b""
        if not piece:
            return [json.loads(line) for line in data.splitlines()]
        data += piece


def ask(server: Server, request: bytes) -> list[dict[str, Any]]:
    with connect(server) as end:
        end.sendall(request)
        return answers(end)


def outcome(server: Server, request: bytes) -> tuple[int, str]:
    done = ask(server, request)[-1]["done"]
    return done["code"], done["text"]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_request_one_answer(server: Server) -> None:
    (answer,) = ask(server, b'{"verb": "status"}\n')
    assert answer["done"]["data"]["capacity"]["children"] == 2
    assert outcome(server, b'{"verb":"resize","arguments":{"max":9}}\n') == (0, "at most 9 threads from now on")
    assert outcome(server, b'{"verb":"retire","arguments":{"child":9}}\n') == (2, "there is no child 9")
    assert outcome(server, b"hello\n")[0] == 2


def test_it_is_for_its_owner_alone_from_its_first_moment(server: Server) -> None:
    assert stat.S_IMODE(server.control.path.stat().st_mode) == 0o600


def test_a_request_in_pieces(server: Server) -> None:
    with connect(server) as end:
        for byte in b'{"verb": "why"}\n':
            end.sendall(bytes([byte]))
        assert answers(end)[-1]["done"]["data"]["decisions"][0]["what"] == "starts child 2"


def test_a_mistake_of_ours_is_an_answer_and_a_log_entry(server: Server, log_file: Path) -> None:
    code, text = outcome(server, b'{"verb": "reopen-logs"}\n')
    assert (code, text) == (1, "the server could not do that (RuntimeError); its error log says more")
    assert "this is a mistake of ours" in log_file.read_text()
    assert outcome(server, b'{"verb": "status"}\n')[0] == 0


def test_what_is_changed_is_logged_with_who_asked(server: Server, log_file: Path) -> None:
    ask(server, b'{"verb": "status"}\n')
    ask(server, b'{"verb": "retire", "arguments": {"child": 1}}\n')
    told = log_file.read_text()
    assert f"retire is asked for at the control socket (user {os.getuid()}" in told
    assert "status" not in told


def test_the_outcome_of_a_reload_comes_when_it_is_known(server: Server) -> None:
    with connect(server) as end:
        end.sendall(b'{"verb": "reload"}\n')
        assert json.loads(end.recv(1000)) == {"progress": "the reload is on its way"}
        assert outcome(server, b'{"verb": "status"}\n')[0] == 0  # others are served meanwhile
        server.do(lambda: server.operations.finish(Outcome(3, "it does not import")))
        assert answers(end) == [{"done": {"code": 3, "text": "it does not import", "data": {}}}]


def test_who_waits_for_a_reload_and_goes_away_is_forgotten(server: Server) -> None:
    end = connect(server)
    end.sendall(b'{"verb": "reload"}\n')
    assert end.recv(1000)
    end.close()
    eventually(lambda: not server.control._sessions)
    server.do(lambda: server.operations.finish(Outcome(0, "too late")))
    assert outcome(server, b'{"verb": "status"}\n')[0] == 0


def test_an_outcome_that_is_told_twice_is_told_once(server: Server) -> None:
    with connect(server) as end:
        end.sendall(b'{"verb": "reload"}\n')
        assert end.recv(1000)
        done = server.operations.waiting[0]
        server.do(lambda: (done(Outcome(0, "first")), done(Outcome(1, "second"))))
        assert [answer["done"]["text"] for answer in answers(end)] == ["first"]


@pytest.mark.parametrize("size", [LONGEST_REQUEST, 4 * LONGEST_REQUEST, 50_000_000])
def test_a_line_without_end_is_refused_at_its_bound(server: Server, size: int) -> None:
    with connect(server) as end:
        try:
            for _ in range(0, size, LONGEST_REQUEST):
                end.sendall(b"x" * LONGEST_REQUEST)
        except (BrokenPipeError, ConnectionResetError):
            pass
        (answer,) = answers(end)
    assert f"at most {LONGEST_REQUEST} bytes" in answer["done"]["text"]
    eventually(lambda: not server.control._sessions)


@pytest.mark.parametrize("data", [b"", b"\0" * 100, os.urandom(4000).replace(b"\n", b""), b'{"verb": "sta'])
def test_a_client_that_leaves_in_the_middle_leaves_nothing(server: Server, data: bytes) -> None:
    with connect(server) as end:
        end.sendall(data)
    eventually(lambda: not server.control._sessions)
    assert outcome(server, b'{"verb": "status"}\n')[0] == 0


def test_more_than_a_request_ends_the_wait(server: Server) -> None:
    with connect(server) as end:
        end.sendall(b'{"verb": "reload"}\n')
        assert end.recv(1000)
        end.sendall(b'{"verb": "reload"}\n')
        assert answers(end) == []
    assert server.operations.called == ["reload"]


def test_a_client_that_does_not_read_holds_no_more_than_its_bound_and_not_for_long(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PATIENCE", 0.3)
    server.operations.data = {"x": "y" * (LONGEST_ANSWER - 100)}
    with connect(server) as end:
        end.sendall(b'{"verb": "status"}\n')
        eventually(lambda: any(each._unsent for each in server.control._sessions))
        turns = server.turns
        assert ask(server, b'{"verb": "why"}\n')
        eventually(lambda: not server.control._sessions)
        assert server.turns - turns < 20, "the loop turns without need"


def test_a_client_that_reads_slowly_gets_all(server: Server) -> None:
    server.operations.data = {"x": "y" * (LONGEST_ANSWER - 100)}
    (answer,) = ask(server, b'{"verb": "status"}\n')
    assert len(answer["done"]["data"]["x"]) == LONGEST_ANSWER - 100


def test_an_answer_beyond_the_bound_is_not_sent(server: Server) -> None:
    server.operations.data = {"x": "y" * LONGEST_ANSWER}
    assert outcome(server, b'{"verb": "status"}\n') == (1, "the answer is too long to be sent")
    server.operations.data = {"x": object()}
    assert outcome(server, b'{"verb": "status"}\n')[0] == 1


def test_a_request_that_does_not_come_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE", 0.2)
    with connect(server) as end:
        end.sendall(b'{"verb"')
        (answer,) = answers(end)
    assert "no whole request came within" in answer["done"]["text"]


def test_a_thousand_connections(server: Server) -> None:
    ends = [connect(server) for _ in range(MOST_SESSIONS)]
    eventually(lambda: len(server.control._sessions) == MOST_SESSIONS)
    for _ in range(1000):
        with connect(server) as end:
            assert "others are talking to this server" in answers(end)[-1]["done"]["text"]
    ends[0].sendall(b'{"verb": "status"}\n')
    assert answers(ends[0])[-1]["done"]["code"] == 0
    for end in ends:
        end.close()
    eventually(lambda: not server.control._sessions)
    assert outcome(server, b'{"verb": "status"}\n')[0] == 0


def test_other_users_are_refused(server: Server, log_file: Path) -> None:
    server.control._user = 4_000_000
    if os.getuid() == 0:  # root may always
        assert outcome(server, b'{"verb": "status"}\n')[0] == 0
    else:
        assert "only root and the user" in outcome(server, b'{"verb": "status"}\n')[1]
        assert "is refused at the control socket" in log_file.read_text()


def test_without_descriptors_it_pauses_instead_of_turning(server: Server, log_file: Path) -> None:
    end = server.control._end

    class Exhausted:
        def accept(self) -> None:
            raise OSError(24, "Too many open files")

        def __getattr__(self, name: str) -> Any:
            return getattr(end, name)

    server.do(lambda: setattr(server.control, "_end", Exhausted()))
    with connect(server):
        eventually(lambda: "accepts nobody for 1 s: Too many open files" in log_file.read_text())
        turns = server.turns
        server.do(lambda: setattr(server.control, "_end", end))
        assert outcome(server, b'{"verb": "status"}\n')[0] == 0
        assert server.turns - turns < 20


def test_a_stop_ends_the_conversation_with_the_server(server: Server) -> None:
    assert ask(server, b'{"verb": "stop", "arguments": {"now": true}}\n') == [{"progress": "the server stops at once"}]
    assert server.operations.called == ["stop now"]
    eventually(lambda: not server.control.path.exists())


def test_who_gives_way_answers_those_who_wait_and_lets_another_listen(server: Server, log: ErrorLog) -> None:
    with connect(server) as end:
        end.sendall(b'{"verb": "reload"}\n')
        assert end.recv(1000)
        server.do(server.control.give_way)
        successor = ControlSocket(server.control.path, 1, Operations(), log, time.monotonic)
        server.do(lambda: server.operations.finish(Outcome(0, "reloaded")))
        assert answers(end)[-1]["done"]["text"] == "reloaded"
        server.do(server.operations.stopped.set)
        assert successor.path.exists(), "the old one must not remove the file of the new one"
        successor.close()
    assert not server.control.path.exists()


def test_a_socket_of_a_dead_server_is_replaced_and_one_of_a_living_is_not(tmp_path: Path, log: ErrorLog) -> None:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert not is_alive(path)
    control = ControlSocket(path, 1, Operations(), log, time.monotonic)
    with pytest.raises(ListenError, match=r"control_socket: .*another server listens there"):
        ControlSocket(path, 1, Operations(), log, time.monotonic)
    control.close()
    assert not path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path, log: ErrorLog) -> None:
    path = tmp_path / "c.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="control_socket"):
        ControlSocket(path, 1, Operations(), log, time.monotonic)
    assert path.read_text() == "precious"


def automatic(directory: Path, log: ErrorLog, pid: int = 0) -> ControlSocket | None:
    return open_control(None, directory, pid or os.getpid(), Operations(), log, time.monotonic)


def test_the_automatic_directory_is_made_and_swept(tmp_path: Path, log: ErrorLog) -> None:
    directory = tmp_path / "tricorn"
    control = automatic(directory, log)
    assert control is not None
    assert (control.path, stat.S_IMODE(directory.stat().st_mode)) == (directory / f"{os.getpid()}.sock", 0o700)
    left, other = directory / "999999999.sock", directory / "notes"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    other.write_text("kept")
    second = automatic(directory, log, pid=12_345_678)
    assert second is not None
    assert {path.name for path in directory.iterdir()} == {"12345678.sock", control.path.name, "notes"}
    control.close()
    second.close()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_an_automatic_directory_that_others_may_write_to_is_not_used(
    tmp_path: Path, log: ErrorLog, log_file: Path, mode: int
) -> None:
    directory = tmp_path / "tricorn"
    directory.mkdir()
    directory.chmod(mode)
    assert automatic(directory, log) is None
    assert "there is no control socket" in log_file.read_text()
    assert "others may write to it" in log_file.read_text()


def test_an_automatic_directory_that_is_a_link_or_cannot_be_made_is_not_used(
    tmp_path: Path, log: ErrorLog, log_file: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    assert automatic(tmp_path / "link", log) is None
    assert automatic(tmp_path / "missing" / "tricorn", log) is None
    assert "it is no directory" in log_file.read_text()
    assert "No such file or directory" in log_file.read_text()


def test_no_control_socket_is_wanted(log: ErrorLog) -> None:
    assert open_control(None, None, 1, Operations(), log, time.monotonic) is None


def test_a_forked_process_lets_go_without_an_effect_on_the_parent(server: Server) -> None:
    with connect(server) as waiting:
        waiting.sendall(b'{"verb": "reload"}\n')
        assert waiting.recv(1000)
        held = [server.control._end.fileno(), *(each.fileno() for each in server.control._sessions)]

        def let_go() -> int:
            server.control.abandon()
            return 2 if any(os.path.exists(f"/proc/self/fd/{fd}") for fd in held) else 0

        with Forked(let_go) as forked:
            assert forked.wait() == 0
        assert outcome(server, b'{"verb": "status"}\n')[0] == 0
        server.do(lambda: server.operations.finish(Outcome(0, "reloaded")))
        assert answers(waiting)[-1]["done"]["text"] == "reloaded"
