import os
import socket
from collections.abc import Iterator

import pytest

from pypcp.ipc.notify import Notifier


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path) -> Iterator[tuple[socket.socket, str]]:
    """The service manager's end, and its name as NOTIFY_SOCKET has it."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@pypcp-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0"))
        receiver.settimeout(5)
        yield receiver, name


def test_readiness_names_the_process_and_the_status(manager):
    receiver, name = manager
    assert Notifier({"NOTIFY_SOCKET": name}).ready("8 agents")
    assert receiver.recv(1000).decode() == f"READY=1\nMAINPID={os.getpid()}\nSTATUS=8 agents"


def test_each_message_is_one_assignment(manager):
    receiver, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier.status("one\nREADY=1 ")
    assert notifier.watchdog()
    assert notifier.stopping()
    assert [receiver.recv(1000) for _ in range(3)] == [b"STATUS=one READY=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_manager_nothing_happens(environ):
    assert not Notifier(environ).ready()


def test_a_manager_that_is_gone_is_no_error(tmp_path):
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "nosuch")}).ready()


def test_an_empty_status_is_not_sent(manager):
    assert not Notifier({"NOTIFY_SOCKET": manager[1]}).status("")


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "2500000"}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": str(os.getpid())}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdogs_interval_is_the_managers_if_it_means_us(environ, interval_s):
    assert Notifier(environ).watchdog_interval_s == interval_s
