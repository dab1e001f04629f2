"""Stock's client library logs in to our side of SASL."""

import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import STOCK_PATH, require, stock
from pypcp.errors import AuthenticationError, PermissionDenied
from pypcp.ipc.blocking import BlockingStream
from pypcp.pmcd.accounts import Accounts, Verifier
from pypcp.pmcd.sasl import Exchange
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Feature, decode, encode

ACCOUNTS = Accounts({"anna": Verifier.of("s3cret", rounds=4096)})
LIMIT_S = 10.0


class Door:
    """A server of one connection that asks who it is, and refuses whatever comes then."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LIMIT_S)
        self.port = self._listener.getsockname()[1]
        self.outcome: str | int | None = None
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        with BlockingStream(sock) as stream:
            stream.send(encode(Challenge(features=Feature.AUTH)))
            assert isinstance(decode(stream.receive(LIMIT_S)), Creds)
            try:
                self.outcome = self._authenticate(stream)
                stream.receive(LIMIT_S)
                stream.send(encode(Error(PermissionDenied.code)))
            except AuthenticationError as error:
                self.outcome = error.code
                stream.send(encode(Error(error.code)))

    def _authenticate(self, stream: BlockingStream) -> str | None:
        exchange = Exchange(ACCOUNTS, private=True)
        stream.send(encode(Attribute(AttributeKey.SASL, exchange.mechanisms)))
        challenge = exchange.start(self._response(stream))
        while challenge is not None:
            stream.send(encode(Attribute(AttributeKey.SASL, challenge)))
            challenge = exchange.step(self._response(stream))
        return exchange.username

    def _response(self, stream: BlockingStream) -> bytes:
        pdu = decode(stream.receive(LIMIT_S))
        assert isinstance(pdu, Attribute)
        return pdu.value


@pytest.fixture
def door() -> Iterator[Door]:
    require(shutil.which("pminfo", path=STOCK_PATH), "stock's pminfo")
    require([*Path("/usr/lib").glob("**/sasl2/libscram.so")], "libsasl2-modules")
    made = Door()
    yield made
    made.close()


@pytest.mark.parametrize("method", ["plain", "scram-sha-256"])
def test_a_stock_client_logs_in(door: Door, method: str) -> None:
    stock("pminfo", "-h", f"127.0.0.1:{door.port}?method={method}&username=anna&password=s3cret", "-f", "x")
    door.close()
    assert door.outcome == "anna"


@pytest.mark.parametrize("method", ["plain", "scram-sha-256"])
@pytest.mark.parametrize("credentials", ["username=anna&password=wrong", "username=bert&password=s3cret"])
def test_a_stock_client_with_other_credentials_does_not(door: Door, method: str, credentials: str) -> None:
    told = stock("pminfo", "-h", f"127.0.0.1:{door.port}?method={method}&{credentials}", "-f", "x")
    door.close()
    assert door.outcome == -21357
    if method != "plain":
        assert "Authentication - authentication failure" in told.stdout + told.stderr
