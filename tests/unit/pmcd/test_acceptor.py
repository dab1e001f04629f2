"""Taking clients in where the system has no room for more."""

import asyncio
import errno
import logging
import os
import socket
from pathlib import Path

import pytest

from pypcp.pmcd.acceptor import Acceptor
from waiting import until

pytestmark = pytest.mark.anyio


class Listener(socket.socket):
    """A socket of a system that has no room for one more, until it has."""

    is_full = True
    tried = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tried += 1
        if self.is_full:
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
        return super().accept()


async def test_the_log_hears_once_that_there_is_no_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    came = []

    class Client(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            came.append(transport)

    listener = Listener(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    acceptor = Acceptor([listener], Client)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "socket"))
        await until(lambda: listener.tried >= 3)
        assert len(caplog.records) == 1
        listener.is_full = False
        await until(lambda: came)
        came[0].close()
    acceptor.close()
