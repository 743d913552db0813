from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tricorn.parent.notify import Notifier


class Manager:
    """The end of the service manager."""

    def __init__(self, address: str) -> None:
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.end.bind(address)
        self.end.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self.end.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.end.close()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), "HOME": "/"}


def test_the_life_of_a_server(manager: Manager, environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    assert environ == {"HOME": "/"}
    notifier.ready(4711)
    notifier.reloading()
    notifier.ready(4711)
    notifier.mainpid(4712)
    notifier.stopping()
    first, reloading, *others = manager.heard()
    assert first == "READY=1\nMAINPID=4711"
    kind, _, moment = reloading.partition("\nMONOTONIC_USEC=")
    assert (kind, moment.isdecimal()) == ("RELOADING=1", True)
    assert others == ["READY=1\nMAINPID=4711", "MAINPID=4712", "STOPPING=1"]


def test_a_status_is_sent_when_it_has_changed_and_once_a_second_at_most(
    manager: Manager, environ: dict[str, str]
) -> None:
    notifier = Notifier(environ)
    assert notifier.watchdog_due(9.0) is None
    for now, text in ((10.0, "3 children"), (12.0, "3 children"), (12.5, "4\nchildren\x1b"), (12.9, "x" * 1000)):
        notifier.status(text)
        notifier.pet(now)
    assert manager.heard() == ["STATUS=3 children", "STATUS=4 children"]
    assert notifier.watchdog_due(13.0) == 13.5
    notifier.pet(13.5)
    assert manager.heard() == ["STATUS=" + "x" * 400]
    assert notifier.watchdog_due(14.0) is None


def test_the_watchdog_is_petted_twice_a_period(manager: Manager, environ: dict[str, str]) -> None:
    notifier = Notifier(environ | {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_due(100.0) == 100.0
    notifier.pet(100.0)
    assert notifier.watchdog_due(100.5) == 102.0
    notifier.pet(101.9)
    notifier.pet(102.0)
    assert manager.heard() == ["WATCHDOG=1", "WATCHDOG=1"]
    assert notifier.environment() == {"NOTIFY_SOCKET": environ["NOTIFY_SOCKET"], "WATCHDOG_USEC": "4000000"}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-4"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "9" * 5000},
        {"WATCHDOG_USEC": "\u0664"},
    ],
)
def test_no_watchdog_is_asked_for(manager: Manager, environ: dict[str, str], variables: dict[str, str]) -> None:
    variables = environ | variables
    notifier = Notifier(variables)
    assert "WATCHDOG_USEC" not in variables
    notifier.pet(1.0)
    assert (notifier.watchdog_due(1.0), manager.heard()) == (None, [])


@pytest.mark.parametrize(
    "path", [None, "", "relative", "@", "vsock:2:1234", "/nowhere/notify", "/" + "x" * 300, "/a\0b"]
)
def test_without_a_manager_nothing_happens(path: str | None) -> None:
    variables = {"WATCHDOG_USEC": "1000000"} | ({} if path is None else {"NOTIFY_SOCKET": path})
    notifier = Notifier(variables)
    notifier.ready(1)
    notifier.status("x")
    notifier.pet(1.0)
    assert not notifier._unsent


def test_an_abstract_address() -> None:
    name = f"tricorn-test-{os.getpid()}"
    manager = Manager("\0" + name)
    Notifier({"NOTIFY_SOCKET": "@" + name}).stopping()
    assert manager.heard() == ["STOPPING=1"]
    manager.end.close()


def test_a_manager_that_does_not_read_is_not_waited_for_and_hears_it_later(
    manager: Manager, environ: dict[str, str]
) -> None:
    notifier = Notifier(environ)
    sent = 0
    while not notifier._unsent:
        notifier.tell(f"STATUS={sent}")
        sent += 1
        assert sent < 100_000
    notifier.ready(4711)
    assert notifier.watchdog_due(5.0) == 5.2
    heard = manager.heard()
    notifier.pet(5.2)
    heard += manager.heard()
    assert heard[-2:] == [f"STATUS={sent - 1}", "READY=1\nMAINPID=4711"]
    assert notifier.watchdog_due(6.0) is None
