"""The PDU family: types, flags, and the two doors between bytes and objects, :func:`encode` and :func:`decode`.

Each kind of PDU is a frozen dataclass in the module of its family; its docstring shows the layout of its body. Offsets
count from the first byte of the PDU, so a body starts at 12; all words are big-endian, ``padded`` means with ``~`` up
to a whole word.
"""

from __future__ import annotations

import importlib
import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import EJECT, IntEnum, IntFlag
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, TypeVar

from pypcp.errors import BadArgument, RemoteProtocolError
from pypcp.wire.buffer import HEADER, HEADER_SIZE, Reader, Writer

if TYPE_CHECKING:
    from pypcp.wire.versions import Channel


class PduType(IntEnum):
    """PDU_*: what a PDU is."""

    ERROR = 0x7000
    RESULT = 0x7001
    PROFILE = 0x7002
    FETCH = 0x7003
    DESC_REQ = 0x7004
    DESC = 0x7005
    INSTANCE_REQ = 0x7006
    INSTANCE = 0x7007
    TEXT_REQ = 0x7008
    TEXT = 0x7009
    CONTROL_REQ = 0x700A
    CREDS = 0x700C
    PMNS_IDS = 0x700D
    PMNS_NAMES = 0x700E
    PMNS_CHILD = 0x700F
    PMNS_TRAVERSE = 0x7010
    ATTR = 0x7011
    LABEL_REQ = 0x7012
    LABEL = 0x7013
    HIGHRES_FETCH = 0x7014
    HIGHRES_RESULT = 0x7015
    DESC_IDS = 0x7016
    DESCS = 0x7017


# Flags with a bit that no name stands for are plain numbers (EJECT): by default an enumeration remembers every value
# that it ever met, and a peer could fill the memory with them.


class StateChange(IntFlag, boundary=EJECT):
    """PMCD_*: what changed in the collector; travels as the positive code of an ERROR in front of a fetch's result."""

    NO_CHANGE = 0
    ADD_AGENT = 1
    RESTART_AGENT = 2
    DROP_AGENT = 4
    LABEL_CHANGE = 8
    NAMES_CHANGE = 16
    HOSTNAME_CHANGE = 32


class Feature(IntFlag, boundary=EJECT):
    """PDU_FLAG_*: what a server offers in its challenge and a peer asks for in its credentials."""

    NONE = 0
    SECURE = 0x0001
    COMPRESS = 0x0002
    AUTH = 0x0004
    CREDS_REQD = 0x0008
    SECURE_ACK = 0x0010
    NO_NSS_INIT = 0x0020
    CONTAINER = 0x0040
    CERT_REQD = 0x0080
    BAD_LABEL = 0x0100
    LABELS = 0x0200
    HIGHRES = 0x0400
    DESCS = 0x0800


class Envelope(NamedTuple):
    """What is known of a PDU besides its body: the header's facts, and the channel it came on."""

    type: int
    sender: int
    channel: Channel | None


class Pdu(ABC):
    """One message. ``sender`` is the header's ``from``: a context handle, a client slot, a process id, or 0."""

    __slots__ = ()
    pdu_types: ClassVar[tuple[PduType, ...]]
    """The types this class stands for; most stand for one."""
    sender: int

    @property
    def pdu_type(self) -> int:
        """The type in the header."""
        return self.pdu_types[0]

    @abstractmethod
    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""

    @classmethod
    @abstractmethod
    def read(cls, reader: Reader, envelope: Envelope) -> Pdu:
        """The PDU of a body; raises ``RemoteProtocolError`` or leaves unread what should not be there."""


@dataclass(frozen=True, slots=True)
class UnknownPdu(Pdu):
    """A PDU of a type that has no layout here (``type``), its body as it came (``raw``)."""

    pdu_types: ClassVar[tuple[PduType, ...]] = ()
    type: int
    raw: bytes = b""
    sender: int = 0

    @property
    def pdu_type(self) -> int:
        """The type in the header."""
        return self.type

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.bytes_(self.raw)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> UnknownPdu:
        """Takes the whole body."""
        return cls(envelope.type, reader.bytes_(reader.remaining), envelope.sender)


_CLASSES: dict[int, type[Pdu]] = {}

_FAMILIES: Final[dict[int, str]] = {
    PduType.ERROR: "handshake",
    PduType.CREDS: "handshake",
    PduType.ATTR: "attribute",
    PduType.PROFILE: "fetch",
    PduType.FETCH: "fetch",
    PduType.HIGHRES_FETCH: "fetch",
    PduType.RESULT: "result",
    PduType.HIGHRES_RESULT: "result",
    PduType.DESC_REQ: "desc",
    PduType.DESC: "desc",
    PduType.DESC_IDS: "desc",
    PduType.DESCS: "desc",
    PduType.INSTANCE_REQ: "instance",
    PduType.INSTANCE: "instance",
    PduType.TEXT_REQ: "text",
    PduType.TEXT: "text",
    PduType.LABEL_REQ: "label",
    PduType.LABEL: "label",
    PduType.PMNS_IDS: "pmns",
    PduType.PMNS_NAMES: "pmns",
    PduType.PMNS_CHILD: "pmns",
    PduType.PMNS_TRAVERSE: "pmns",
}
"""The module that has the class of a type: a program that never meets labels need not import them."""

_Class = TypeVar("_Class", bound=type[Pdu])


def register(cls: _Class) -> _Class:
    """Class decorator: :func:`decode` makes this class of its types."""
    for type_ in cls.pdu_types:
        _CLASSES[type_] = cls
    return cls


def class_of(type_: int) -> type[Pdu]:
    """The class that stands for a type; :class:`UnknownPdu` where none does."""
    found = _CLASSES.get(type_)
    if found is None:
        family = _FAMILIES.get(type_)
        if family is None:
            return UnknownPdu
        importlib.import_module(f"pypcp.wire.{family}")
        found = _CLASSES[type_]
    return found


def encode(pdu: Pdu, channel: Channel | None = None) -> bytes:
    """The whole frame of ``pdu``, translated for the peer on ``channel``.

    ``BadArgument`` where a field holds what its place on the wire cannot, ``TooBig`` where the whole is.
    """
    writer = Writer()
    try:
        pdu.write(writer, channel)
        return writer.frame(pdu.pdu_type, pdu.sender)
    except (struct.error, TypeError, ValueError, OverflowError) as error:
        raise BadArgument(f"{type(pdu).__name__} cannot be sent: {error}") from error


def decode(frame: bytes, channel: Channel | None = None) -> Pdu:
    """The PDU of a whole frame, translated from what the peer on ``channel`` speaks.

    ``RemoteProtocolError`` where the bytes break the layout. A type without a layout is an :class:`UnknownPdu`: what to
    do with it is the caller's decision.
    """
    if len(frame) < HEADER_SIZE:
        raise RemoteProtocolError(f"{len(frame)} bytes are no PDU")
    length, type_, sender = HEADER.unpack_from(frame)
    if length != len(frame):
        raise RemoteProtocolError(f"a PDU that claims {length} bytes has {len(frame)}")
    reader = Reader(frame, HEADER_SIZE)
    cls = class_of(type_)
    try:
        pdu = cls.read(reader, Envelope(type_, sender, channel))
        reader.finish()
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"{cls.__name__}: {error.detail}") from None
    return pdu
