"""TLS and logins that stop half-way, say something else, or never end."""

import asyncio
import shutil
import ssl
import struct
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fakes.client import RawClient, fetch
from honest import NUMAGENTS, beside
from peers import require
from pypcp.model.profile import EVERYTHING
from pypcp.pmcd.accounts import Accounts, AccountsFile, Verifier
from pypcp.pmcd.security import Security
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.fetch import ProfilePdu
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Feature, decode, encode
from pypcp.wire.result import Result
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
AN_HOUR = 3600.0
CLOSED = None
TLS = Creds(flags=Feature.SECURE | Feature.SECURE_ACK)
LOGIN = Creds(flags=Feature.AUTH)
CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(32)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key, in one file."""
    openssl = shutil.which("openssl")
    require(openssl, "openssl, for a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        [str(openssl), *made, "-keyout", str(path), "-out", f"{path}.crt"], check=True, capture_output=True, timeout=30
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def secured(running: Running, certificate: Path) -> None:
    """Give a running daemon a certificate, and somebody who can log in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    users = certificate.parent / "users"
    users.write_text(str(Accounts({"root": Verifier.of("s3cret", rounds=4096)})))
    users.chmod(0o600)
    running.daemon.security = Security(tls=context, accounts=AccountsFile(users))


async def promised(client: RawClient, *more: bytes) -> None:
    """As far as the daemon's word that TLS begins."""
    challenge = await client.answer()
    assert isinstance(challenge, Challenge)
    assert challenge.features & Feature.SECURE
    assert await client.answer(TLS) == Error(0)
    if more:
        await client.send(*more)


async def asked(client: RawClient, *more: bytes) -> None:
    """As far as the list of mechanisms."""
    await client.receive()
    offered = await client.answer(LOGIN)
    assert isinstance(offered, Attribute)
    assert b"SCRAM-SHA-256" in offered.value.split()
    if more:
        await client.send(*more)


class TlsClient:
    """TLS over a raw client, which decides what goes out in one segment."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._tls = context.wrap_bio(self._in, self._out)

    async def shake_hands(self, *more: bytes) -> None:
        """The whole handshake; ``more`` goes out in the segment of its last flight."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                self._in.write(await asyncio.get_running_loop().sock_recv(self.client.socket, 1 << 16))
        await self.send(*more)

    async def send(self, *pdus: bytes) -> None:
        """Send PDUs, and whatever TLS itself has to say, in one segment."""
        for each in pdus:
            self._tls.write(each)
        await self._flush()

    async def answer(self) -> bytes:
        """Whatever comes next."""
        while True:
            try:
                return self._tls.read(1 << 16)
            except ssl.SSLWantReadError:
                self._in.write(await asyncio.get_running_loop().sock_recv(self.client.socket, 1 << 16))

    async def _flush(self) -> None:
        await self.client.send(self._out.read())


async def test_requests_that_come_with_the_end_of_the_handshake_are_answered(start: Starter, certificate: Path) -> None:
    async with start() as running:
        secured(running, certificate)
        for _ in range(5):
            async with RawClient(running.path) as client:
                await promised(client)
                tls = TlsClient(client)
                await tls.shake_hands(encode(ProfilePdu(0, EVERYTHING)), fetch(NUMAGENTS))
                async with asyncio.timeout(5):
                    assert isinstance(decode(await tls.answer()), Result)
                    await tls.send(fetch(NUMAGENTS))
                    assert isinstance(decode(await tls.answer()), Result)


SCRAM_FIRST = encode(Attribute(AttributeKey.SASL, b"SCRAM-SHA-256\0n,,n=root,r=abcdefgh"))
STOPS: dict[str, Callable[[RawClient], Awaitable[None]]] = {
    "before TLS": promised,
    "in the middle of its hello": lambda client: promised(client, CLIENT_HELLO),
    "before a login": asked,
    "in the middle of a login": lambda client: asked(client, SCRAM_FIRST),
    "in the middle of a message": lambda client: asked(client, SCRAM_FIRST[:20]),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS.keys())
async def test_nobody_waits_for_a_client_that_stops(
    start: Starter, certificate: Path, stop: Callable[[RawClient], Awaitable[None]]
) -> None:
    async with start(hello_s=AN_HOUR, pdu_s=AN_HOUR) as running, beside(running) as honest:
        secured(running, certificate)
        async with RawClient(running.path) as client:
            await stop(client)
            await honest.is_answered()
            assert len(running.daemon.clients) == 2
        await until(lambda: len(running.daemon.clients) == 1)


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS.keys())
async def test_given_up_is_a_client_that_stops(
    start: Starter, certificate: Path, stop: Callable[[RawClient], Awaitable[None]]
) -> None:
    async with start(hello_s=0.2) as running:
        secured(running, certificate)
        async with RawClient(running.path) as client:
            await stop(client)
            await until(lambda: not running.daemon.clients)


@pytest.mark.parametrize("instead", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(100)])
async def test_what_is_no_tls_ends_the_connection(start: Starter, certificate: Path, instead: bytes) -> None:
    async with start() as running, beside(running):
        secured(running, certificate)
        async with RawClient(running.path) as client:
            await promised(client, instead)
            await until(lambda: len(running.daemon.clients) == 1)


async def test_nothing_in_clear_is_taken_as_if_it_had_come_by_tls(start: Starter, certificate: Path) -> None:
    async with start() as running:
        secured(running, certificate)
        async with RawClient(running.path) as client:
            await client.receive()
            replies = [await client.answer(TLS, fetch(NUMAGENTS)), await client.answer()]
            assert not any(isinstance(reply, Result) for reply in replies)
            assert replies[0] == Error(0)
            await until(lambda: not running.daemon.clients or client.socket.send(encode(Creds())))


async def test_the_largest_length_in_a_login_is_refused_and_forgotten(start: Starter, certificate: Path) -> None:
    """What disables a stock pmcd of PCP 6 for everybody until it is started again."""
    async with start() as running, beside(running):
        secured(running, certificate)
        async with RawClient(running.path) as client:
            await asked(client, struct.pack(">iii", 0x7FFFFFFF, 0x7011, 0))
            assert await client.closed()
        async with RawClient(running.path) as client:
            await client.greeted()
            assert isinstance(await client.answer(fetch(NUMAGENTS)), Result)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0" * 100,
        b"ANONYMOUS\0",
        b"PLAIN",
        b"PLAIN\0root",
        b"PLAIN\0\0root\0wrong",
        b"PLAIN\0\0" + b"x" * 1500 + b"\0" + b"y" * 400,
        b"PLAIN\0\0\xff\xfe\0\xff",
        b"SCRAM-SHA-256\0n,,n=nobody,r=abc",
        b"SCRAM-SHA-256\0y,,,,,,",
        b"SCRAM-SHA-256-PLUS\0p=tls-unique,,n=root,r=abc",
        b"x" * 2048,
        b"x" * 4000,
    ],
)
async def test_no_login_lets_in_who_does_not_know_the_password(
    start: Starter, certificate: Path, message: bytes
) -> None:
    async with start() as running, beside(running):
        secured(running, certificate)
        async with RawClient(running.path) as client:
            await asked(client)
            reply = await client.answer(Attribute(AttributeKey.SASL, message))
            for _ in range(3):
                if isinstance(reply, Attribute):
                    reply = await client.answer(Attribute(AttributeKey.SASL, b"c=biws,r=abc,p=AAAA"))
            assert isinstance(reply, Error)
            assert reply.code < 0
            assert await client.answer(fetch(NUMAGENTS)) is CLOSED


async def test_many_who_guess_passwords_hold_up_nobody(start: Starter, certificate: Path) -> None:
    guess = Attribute(AttributeKey.SASL, b"PLAIN\0\0root\0guess")

    async def try_once(running: Running) -> Error:
        async with RawClient(running.path) as client:
            await asked(client)
            reply = await client.answer(guess)
            assert isinstance(reply, Error)
            return reply

    async with start() as running, beside(running) as honest:
        secured(running, certificate)
        replies = asyncio.gather(*[try_once(running) for _ in range(20)])
        await honest.is_answered()
        codes = {reply.code for reply in await replies}
        assert len(codes) == 1
