"""From a client's credentials to its first request: TLS, who it is, its container, what its account may do.

Most clients ask for none of this and are let in at once, or, where a reload was asked for, when that is over. The
others are greeted in a task of their own, with one time limit over all of it; their requests wait. Success is silent; a
failure is an ERROR in reply to the credentials.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from pypcp.errors import (
    ClientCertificateRequired,
    NotConnected,
    OsError,
    ProtocolError,
    RequestTimeout,
)
from pypcp.pmcd.access_statements import Operation
from pypcp.pmcd.sasl import Exchange
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Feature, Pdu
from pypcp.wire.session import VERSION_1_REQUESTS, Handshake, Phase
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2

if TYPE_CHECKING:
    from pypcp.pmcd.client_connection import ClientConnection

log = logging.getLogger(__name__)

_FROM_CLIENT: Final = (
    Feature.SECURE
    | Feature.COMPRESS
    | Feature.AUTH
    | Feature.CREDS_REQD
    | Feature.SECURE_ACK
    | Feature.CONTAINER
    | Feature.CERT_REQD
)
CONTAINER_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")
"""What may name a container; it goes into labels, log and the requests of agents."""


def take_credentials(connection: ClientConnection, pdu: Creds) -> Awaitable[None] | None:
    """CREDS: without a version they say nothing; success is silent.

    Once is enough: who may change its attributes over and over keeps every agent busy with being told.
    """
    connection.may_be_version_1 = False
    channel, welcome = connection.channel, connection.entered.welcome
    channel.features = pdu.flags
    if welcome and (pdu.flags or channel.version == PDU_VERSION1):
        raise ProtocolError("credentials after those that were accepted")
    if welcome or not pdu.version:
        return None
    steps = Greeting(connection, pdu).begin()
    if steps is None:
        _let_in(connection, PDU_VERSION2)
        return None
    return _greet(connection, steps)


async def _greet(connection: ClientConnection, steps: Awaitable[None]) -> None:
    await steps
    _let_in(connection, PDU_VERSION2)


def comes_as_version_1(connection: ClientConnection, type_: int) -> bool:
    """Is this the first request of a version-1 client, and may there be such? It has no attributes, never stores.

    See: __pmAddIPC(3)
    """
    if not connection.may_be_version_1 or type_ not in VERSION_1_REQUESTS:
        return False
    if not connection.daemon.accepts_version_1:
        return False
    connection.entered.never |= Operation.STORE
    _let_in(connection, PDU_VERSION1)
    return True


def _let_in(connection: ClientConnection, version: int) -> None:
    connection.channel.version = version
    connection.entered.welcome = True
    connection.limit_wait()


class Greeting:
    """One client's way in. ``connection`` gives and takes PDUs and can change to TLS."""

    def __init__(self, connection: ClientConnection, creds: Creds) -> None:
        self._connection = connection
        self._client = connection.client
        self._daemon = connection.daemon
        self._flags = Feature(creds.flags)
        # Where credentials are all that is wanted, a UNIX socket has told them already and nothing more is said.
        self._handshake = Handshake(self._flags, user_known=self._client.uid is not None)

    def begin(self) -> Awaitable[None] | None:
        """Let the client in, or say what has still to be waited for; a ``PcpError`` keeps it out."""
        flags = self._flags
        # As numbers: the complement of a flag has only the bits that have a name, on some Pythons.
        if int(flags) & ~int(_FROM_CLIENT):
            raise ProtocolError(f"credentials with the flags {int(flags):#x}: a client may not send those of a server")
        if flags & Feature.COMPRESS:
            raise OsError(-errno.EOPNOTSUPP, "compression")
        if self._daemon.features & Feature.CERT_REQD and not (flags & Feature.SECURE or self._connection.is_local):
            raise ClientCertificateRequired()
        if self._handshake.phase in _STEPS or self._daemon.reloads.pending:
            return self._steps()
        self._let_in()
        return None

    async def _steps(self) -> None:
        try:
            async with asyncio.timeout(self._daemon.limits.hello_s):
                await self._take_steps()
        except TimeoutError:
            raise RequestTimeout("the handshake") from None
        # Who sends SIGHUP and asks then wants to know what is so now.
        await self._daemon.reloads.over(self._daemon.limits.reload_s)
        self._let_in()

    async def _take_steps(self) -> None:
        while (step := _STEPS.get(self._handshake.phase)) is not None:
            await step(self)

    async def _promise_tls(self) -> None:
        if self._daemon.security.context(local=self._connection.is_local) is None:
            self._say(Error(NotConnected.code))
            raise NotConnected("there is no TLS certificate")
        self._say(Error(0))

    async def _secure(self) -> None:
        context = self._daemon.security.context(local=self._connection.is_local)
        if context is None:
            raise NotConnected("there is no TLS certificate")
        await self._connection.start_tls(context)
        self._handshake.secured()

    async def _authenticate(self) -> None:
        security = self._daemon.security
        exchange = Exchange(security.accounts.current(), private=self._connection.is_private)
        self._say(Attribute(AttributeKey.SASL, exchange.mechanisms))
        step: Callable[[bytes], bytes | None] = exchange.start
        while True:
            response = (await self._hear()).value
            challenge = await security.hashed(step, response)
            if challenge is None:
                break
            self._say(Attribute(AttributeKey.SASL, challenge))
            step = exchange.step
        self._handshake.authenticated()
        self._client.username = exchange.username
        self._client.uid, self._client.gid = await security.identified(exchange.username or "")
        log.debug("client %d has proved to be %s", self._client.context, exchange.username)

    async def _take_container(self) -> None:
        name = (await self._hear()).value
        if not CONTAINER_NAME.fullmatch(name.decode(errors="replace")):
            raise OsError(-errno.EINVAL, f"{name!r:.80} is no name of a container")
        self._client.container = name.decode()
        await self._daemon.containers.learn(self._client.container)

    def _say(self, pdu: Pdu) -> None:
        self._handshake.sent(pdu)
        self._connection.say(pdu)

    async def _hear(self) -> Attribute:
        """The client's part of a step; the handshake refuses anything else than the attribute that it is."""
        pdu = await self._connection.next_pdu()
        self._handshake.received(pdu)
        assert isinstance(pdu, Attribute)
        return pdu

    def _let_in(self) -> None:
        """The account may still be kept out; else agents are told before the first request."""
        if self._connection not in self._daemon.clients:
            raise NotConnected("the client went in the last step of its greeting")
        self._daemon.admit_account(self._connection)


_STEPS: Final[dict[Phase, Callable[[Greeting], Awaitable[None]]]] = {
    Phase.SECURE_ACK: Greeting._promise_tls,
    Phase.TLS: Greeting._secure,
    Phase.SASL_SERVER: Greeting._authenticate,
    Phase.CONTAINER: Greeting._take_container,
}
"""What the daemon does in each phase of a handshake; which follows which is the handshake's to know."""
