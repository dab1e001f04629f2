"""Clients that go, stop or are refused at an awkward moment: each is forgotten, and its place is free again."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from fakes.client import RawClient, fetch
from honest import NUMAGENTS
from peers import require
from pypcp.pmcd.security import Security
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Feature, encode
from pypcp.wire.result import Result
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
ONE_OF_AN_ACCOUNT = "[access]\nallow user * : all, maximum 1 connections;\n"
ONE_CLIENT = '[access]\nallow "unix:" : maximum 1 connections;\n'
HELLO_BEGINS = bytes.fromhex("16030100c8010000c40303") + bytes(32)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key, in one file."""
    openssl = shutil.which("openssl")
    require(openssl, "openssl, for a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    made = [str(openssl), "req", *kind, "-subj", "/CN=localhost", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(made, check=True, capture_output=True, timeout=30)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


async def in_the_handshake(running: Running, client: RawClient, certificate: Path) -> None:
    """Give the daemon a certificate, and bring a client as far as its word that TLS begins."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    running.daemon.security = Security(tls=context)
    await client.receive()
    assert await client.answer(Creds(flags=Feature.SECURE | Feature.SECURE_ACK)) == Error(0)


@pytest.mark.parametrize("more", [b"", HELLO_BEGINS, b"GET / HTTP/1.1\r\n\r\n"], ids=["silent", "half", "no TLS"])
async def test_who_stops_in_the_tls_handshake_is_forgotten(start: Starter, certificate: Path, more: bytes) -> None:
    async with start(hello_s=0.2, access=ONE_CLIENT) as running:
        for _ in range(2):
            async with RawClient(running.path) as client:
                await in_the_handshake(running, client, certificate)
                await client.send(more)
                await until(lambda: not running.daemon.clients)


async def test_who_goes_in_the_tls_handshake_is_forgotten(start: Starter, certificate: Path) -> None:
    async with start(hello_s=3600.0, access=ONE_CLIENT) as running:
        for _ in range(2):
            async with RawClient(running.path) as client:
                await in_the_handshake(running, client, certificate)
            await until(lambda: not running.daemon.clients)


async def test_who_goes_in_the_last_step_of_its_greeting_takes_no_place(
    start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    async with start(access=ONE_OF_AN_ACCOUNT) as running, RawClient(running.path) as client:
        learned = loop.create_future()
        asked = loop.create_future()

        def learn(name: str) -> asyncio.Future[None]:
            asked.set_result(name)
            return learned

        monkeypatch.setattr(running.daemon.containers, "learn", learn)
        await client.receive()
        await client.send(encode(Creds(flags=Feature.CONTAINER)) + encode(Attribute(AttributeKey.CONTAINER, b"web01")))
        assert await asked == "web01"
        (connection,) = running.daemon.clients
        learned.set_result(None)
        connection.connection_lost(None)  # in the same round of the loop, as it may happen
        monkeypatch.setattr(connection, "connection_lost", lambda exc: None)
        async with RawClient(running.path) as next_one:
            await next_one.greeted()
            assert isinstance(await next_one.answer(fetch(NUMAGENTS)), Result)
