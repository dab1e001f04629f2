"""The guard between two lives of its starter."""

import os
import signal
import time
from typing import NoReturn

import pytest

from containers.served import children
from pypcp.root import guard
from pypcp.root.children import CRASHED, spawn
from pypcp.root.diary import Diary
from pypcp.root.guard import Guard
from waiting import wait_until


def test_a_guard_that_waits_before_the_next_attempt_ends_as_soon_as_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "_FIRST_DELAY_S", 90.0)
    born, birth = os.pipe()

    def crash(diary: Diary) -> int:
        os.write(birth, b".")
        return CRASHED

    def body() -> NoReturn:
        os._exit(Guard(crash).run())

    pid, pidfd = spawn(body)
    os.close(pidfd)
    os.read(born, 1)
    wait_until(lambda: not children(pid), "the starter reaped, and the pause begun")
    os.kill(pid, signal.SIGHUP)  # wakes it, but is no reason to end, nor to start anew
    asked = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert time.monotonic() - asked < 45
    os.set_blocking(born, False)
    with pytest.raises(BlockingIOError):
        os.read(born, 1)
    os.close(born)
    os.close(birth)


def test_a_starter_that_is_asked_to_end_as_it_is_born_ends() -> None:
    born, birth = os.pipe()

    def starter(diary: Diary) -> int:
        os.write(birth, b".")
        wait_until(lambda: signal.SIGTERM in signal.sigpending(), "what it was asked, kept until it can be heard")
        return 0

    def body() -> NoReturn:
        os._exit(Guard(starter).run())

    pid, pidfd = spawn(body)
    os.close(pidfd)
    os.read(born, 1)
    os.kill(pid, signal.SIGTERM)
    statuses: list[int] = []

    def over() -> bool:
        statuses[:] = os.waitpid(pid, os.WNOHANG)
        return statuses[0] != 0

    wait_until(over, "the end of both")
    assert os.waitstatus_to_exitcode(statuses[1]) == 0
    os.close(born)
    os.close(birth)


def test_an_agent_that_ends_while_no_starter_lives_is_told_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first starter leaves a child and crashes; the child ends in the pause; the second hears of it."""
    monkeypatch.setattr(guard, "_FIRST_DELAY_S", 0.4)
    told, tell = os.pipe()

    def starter(diary: Diary) -> int:
        if not diary.children:
            child, _ = spawn(lambda: os._exit(3))
            diary.born(child, 1, "x")
            return CRASHED
        diary.channel.setblocking(True)
        diary.channel.settimeout(10)
        ended = diary.hear()
        os.write(tell, str(ended and os.waitstatus_to_exitcode(ended.status)).encode())
        return 0

    def body() -> NoReturn:
        os._exit(Guard(starter).run())

    pid, pidfd = spawn(body)
    os.close(pidfd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.read(told, 10) == b"3"
    os.close(told)
    os.close(tell)
