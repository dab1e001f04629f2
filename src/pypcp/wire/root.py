"""pmdaroot's own requests and replies: fixed layouts of 32-bit integers in the byte order of the host.

A message is a header (type, length, status, version) and a body fixed by the type, so every message type has a
smallest and a largest length, and those are enforced before anything else is read. Decoding raises
``RemoteProtocolError`` and nothing else. See: pmdaRootConnect(3).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple

from pypcp.errors import RemoteProtocolError

VERSION: Final = 2
"""What we speak; every version up to it is understood."""

MAX_NAME: Final = 4095
"""Bytes of a container name, a host name or a cgroup path."""

MAX_LABEL: Final = 63
"""Bytes of an agent's label (the field has one more, for its NUL)."""

MAX_COMMAND: Final = 4095
"""Bytes of an agent's command line."""

MAX_MESSAGE: Final = 4200
"""Bytes of the longest message: a start request with the longest command line."""

_HEADER: Final = struct.Struct("=IiiI")
_LOOKUP: Final = struct.Struct("=IiiIiI")
_START: Final = struct.Struct("=IiiIiiiiII64s")
_STOP: Final = struct.Struct("=IiiIiiii")


class Kind(IntEnum):
    """Message types: a request is odd, its reply the even number after it."""

    INFO = 0x9000
    HOSTNAME_REQUEST = 0x9001
    HOSTNAME = 0x9002
    PROCESSID_REQUEST = 0x9003
    PROCESSID = 0x9004
    CGROUPNAME_REQUEST = 0x9005
    CGROUPNAME = 0x9006
    START_REQUEST = 0x9007
    START = 0x9008
    STOP_REQUEST = 0x9009
    STOP = 0x900A


class Feature(IntEnum):
    """Bits of :class:`Info`; starting and stopping have none.

    The last is not stock's: a daemon that asks for the start of :data:`OURSELVES` gets wires to the helper that it is
    speaking with, which answers for ``containers.*`` on them.
    """

    HOSTNAME = 1
    PROCESSID = 2
    CGROUPNAME = 4
    CONVERSE = 0x100


OURSELVES: Final = ("root", "pmdaroot")
"""Label and command line of that start."""


class AgentIpc(IntEnum):
    """How a started agent is to be reached."""

    SOCKET = 1
    PIPE = 2


class Info(NamedTuple):
    """What the server says first. Layout: header, features, zero (24 bytes)."""

    features: int = 7
    status: int = 0
    version: int = VERSION


class LookupRequest(NamedTuple):
    """Ask for a fact about a container, by name, or (host name only) about a process, with an empty name.

    Layout: header, pid, namelen, name without NUL (24 + namelen bytes).
    """

    kind: int
    name: bytes
    pid: int = 0


class LookupReply(NamedTuple):
    """The fact, or a negative status and no text. Layout: as the request."""

    kind: int
    status: int
    pid: int
    text: bytes = b""


class StartRequest(NamedTuple):
    """Start an agent. Layout: header, pid, infd, outfd, ipctype, namelen, argslen, name[64], args (104 + argslen)."""

    label: bytes
    command: bytes
    ipc: int = AgentIpc.PIPE


class StartReply(NamedTuple):
    """Layout: as the request without args (104 bytes); a pipe agent's two descriptors travel beside it."""

    status: int
    pid: int
    label: bytes


class StopRequest(NamedTuple):
    """Terminate ``pid``, or with pid -1 and no force fetch the status of a child that ended.

    Layout: header, pid, code, force, zero (32 bytes).
    """

    pid: int
    force: bool


class StopReply(NamedTuple):
    """Layout: as the request. ``pid`` of a wait is 0 when none ended yet and -1 when there are no children."""

    status: int
    pid: int
    code: int = 0


Message = Info | LookupRequest | LookupReply | StartRequest | StartReply | StopRequest | StopReply

_LOOKUP_SIZES: Final = (_LOOKUP.size, _LOOKUP.size + MAX_NAME)
_SIZES: Final[dict[int, tuple[int, int]]] = {
    Kind.INFO: (_LOOKUP.size, _LOOKUP.size),
    Kind.HOSTNAME_REQUEST: _LOOKUP_SIZES,
    Kind.HOSTNAME: _LOOKUP_SIZES,
    Kind.PROCESSID_REQUEST: (_LOOKUP.size + 1, _LOOKUP.size + MAX_NAME),
    Kind.PROCESSID: _LOOKUP_SIZES,
    Kind.CGROUPNAME_REQUEST: (_LOOKUP.size + 1, _LOOKUP.size + MAX_NAME),
    Kind.CGROUPNAME: _LOOKUP_SIZES,
    Kind.START_REQUEST: (_START.size + 1, _START.size + MAX_COMMAND),
    Kind.START: (_START.size, _START.size),
    Kind.STOP_REQUEST: (_STOP.size, _STOP.size),
    Kind.STOP: (_STOP.size, _STOP.size),
}


class LinkKind(IntEnum):
    """Packets between the starter and the resolver, which trust each other with nothing but these."""

    HANDOVER = 1
    """To the resolver, with a connection beside it: serve this client; the payload is its uid."""
    RELAY = 2
    """To the resolver: the uid of a client that the starter keeps, and its look-up; back: the reply to it."""
    READER = 3
    """To the resolver, with a socket beside it: here is a (new) name-space reader."""
    READY = 4
    """From the resolver: serving; the payload says what confines it."""


class LinkPacket(NamedTuple):
    """One packet (SOCK_SEQPACKET keeps their borders): kind, ticket, payload. ``ticket`` tells clients apart."""

    kind: int
    ticket: int = 0
    payload: bytes = b""


_LINK: Final = struct.Struct("=IIQ")
MAX_LINK_PACKET: Final = _LINK.size + MAX_MESSAGE


def encode_link(packet: LinkPacket) -> bytes:
    """The bytes of a packet."""
    return _LINK.pack(packet.kind, 0, packet.ticket) + packet.payload


def decode_link(raw: bytes) -> LinkPacket:
    """A packet. ``RemoteProtocolError`` where it is shorter than its head."""
    if len(raw) < _LINK.size:
        raise RemoteProtocolError(f"a packet of {len(raw)} bytes")
    kind, _, ticket = _LINK.unpack_from(raw)
    return LinkPacket(kind, ticket, raw[_LINK.size :])


def frame_size(data: bytes | bytearray | memoryview) -> int:
    """How long the message that ``data`` begins with is; 0 while there is too little to tell.

    ``RemoteProtocolError`` as soon as its type, version, status or length cannot be right.
    """
    if len(data) < _HEADER.size:
        return 0
    kind, length, status, version = _HEADER.unpack_from(data)
    limits = _SIZES.get(kind)
    if limits is None:
        raise RemoteProtocolError(f"message type {kind:#x} is unknown")
    if version > VERSION:
        raise RemoteProtocolError(f"version {version} is newer than {VERSION}")
    if status < 0 and kind & 1:
        raise RemoteProtocolError(f"a request with status {status}")
    if not limits[0] <= length <= limits[1]:
        raise RemoteProtocolError(f"length {length} of {Kind(kind).name} is outside {limits[0]} to {limits[1]}")
    return int(length)


class MessageReader:
    """Bytes in, whole messages out, however they were cut or glued; holds less than one message."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages completed by ``data``, in order. ``RemoteProtocolError`` ends the conversation."""
        self._held += data
        frames = []
        while 0 < (size := frame_size(self._held)) <= len(self._held):
            frames.append(bytes(self._held[:size]))
            del self._held[:size]
        return frames

    @property
    def held(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._held)


def decode(frame: bytes) -> Message:
    """One whole message. ``RemoteProtocolError`` where the lengths inside do not add up to the length outside."""
    if frame_size(frame) != len(frame):
        raise RemoteProtocolError(f"a message of {len(frame)} bytes states another length")
    kind = int.from_bytes(frame[:4], _NATIVE)
    return _DECODERS[kind](frame)


def encode(message: Message) -> bytes:
    """The bytes of a message. ``ValueError`` for a text that does not fit its field."""
    return _ENCODERS[type(message)](message)


_NATIVE: Final = "little" if struct.pack("=H", 1) == b"\x01\x00" else "big"


def _bounded(text: bytes, limit: int, what: str) -> bytes:
    if len(text) > limit or b"\0" in text:
        raise ValueError(f"{what} has a NUL or more than {limit} bytes")
    return text


def _encode_info(info: Info) -> bytes:
    return _LOOKUP.pack(Kind.INFO, _LOOKUP.size, info.status, info.version, info.features, 0)


def _decode_info(frame: bytes) -> Info:
    _, _, status, version, features, _ = _LOOKUP.unpack(frame)
    return Info(features, status, version)


def _encode_lookup_request(request: LookupRequest) -> bytes:
    name = _bounded(request.name, MAX_NAME, "container name")
    return _LOOKUP.pack(request.kind, _LOOKUP.size + len(name), 0, VERSION, request.pid, len(name)) + name


def _encode_lookup_reply(reply: LookupReply) -> bytes:
    text = _bounded(reply.text, MAX_NAME, "answer") if reply.status == 0 else b""
    return _LOOKUP.pack(reply.kind, _LOOKUP.size + len(text), reply.status, VERSION, reply.pid, len(text)) + text


def _lookup_text(frame: bytes, namelen: int) -> bytes:
    if _LOOKUP.size + namelen != len(frame):
        raise RemoteProtocolError(f"name of {namelen} bytes in a message of {len(frame)}")
    return frame[_LOOKUP.size :]


def _decode_lookup_request(frame: bytes) -> LookupRequest:
    kind, _, _, _, pid, namelen = _LOOKUP.unpack_from(frame)
    return LookupRequest(kind, _lookup_text(frame, namelen), pid)


def _decode_lookup_reply(frame: bytes) -> LookupReply:
    kind, _, status, _, pid, namelen = _LOOKUP.unpack_from(frame)
    if status:
        return LookupReply(
            kind, status, pid
        )  # stock sends 64 bytes of its stack with some errors: not for anybody's eyes
    return LookupReply(kind, status, pid, _lookup_text(frame, namelen))


def _encode_start_request(request: StartRequest) -> bytes:
    label = _bounded(request.label, MAX_LABEL, "agent label")
    command = _bounded(request.command, MAX_COMMAND, "command line")
    sizes = len(label), len(command)
    fixed = _START.pack(Kind.START_REQUEST, _START.size + sizes[1], 0, VERSION, 0, 0, 0, request.ipc, *sizes, label)
    return fixed + command


def _decode_start_request(frame: bytes) -> StartRequest:
    *_, ipc, namelen, argslen, name = _START.unpack_from(frame)
    if not 0 < namelen <= MAX_LABEL or _START.size + argslen != len(frame):
        raise RemoteProtocolError(f"label of {namelen} and command of {argslen} bytes in a message of {len(frame)}")
    if ipc not in (AgentIpc.SOCKET, AgentIpc.PIPE):
        raise RemoteProtocolError(f"agent connection type {ipc} is unknown")
    return StartRequest(name[:namelen], frame[_START.size :], ipc)


def _encode_start_reply(reply: StartReply) -> bytes:
    label = reply.label[:MAX_LABEL]
    return _START.pack(Kind.START, _START.size, reply.status, VERSION, reply.pid, 0, 0, 0, len(label), 0, label)


def _decode_start_reply(frame: bytes) -> StartReply:
    _, _, status, _, pid, _, _, _, namelen, _, name = _START.unpack(frame)
    return StartReply(status, pid, name[: min(namelen, MAX_LABEL)])


def _encode_stop_request(request: StopRequest) -> bytes:
    return _STOP.pack(Kind.STOP_REQUEST, _STOP.size, 0, VERSION, request.pid, 0, int(request.force), 0)


def _decode_stop_request(frame: bytes) -> StopRequest:
    _, _, _, _, pid, _, force, _ = _STOP.unpack(frame)
    return StopRequest(pid, bool(force))


def _encode_stop_reply(reply: StopReply) -> bytes:
    return _STOP.pack(Kind.STOP, _STOP.size, reply.status, VERSION, reply.pid, reply.code, 0, 0)


def _decode_stop_reply(frame: bytes) -> StopReply:
    _, _, status, _, pid, code, _, _ = _STOP.unpack(frame)
    return StopReply(status, pid, code)


_DECODERS: Final[dict[int, Callable[[bytes], Message]]] = {
    Kind.INFO: _decode_info,
    Kind.HOSTNAME_REQUEST: _decode_lookup_request,
    Kind.HOSTNAME: _decode_lookup_reply,
    Kind.PROCESSID_REQUEST: _decode_lookup_request,
    Kind.PROCESSID: _decode_lookup_reply,
    Kind.CGROUPNAME_REQUEST: _decode_lookup_request,
    Kind.CGROUPNAME: _decode_lookup_reply,
    Kind.START_REQUEST: _decode_start_request,
    Kind.START: _decode_start_reply,
    Kind.STOP_REQUEST: _decode_stop_request,
    Kind.STOP: _decode_stop_reply,
}
_ENCODERS: Final[dict[type[Message], Callable[[Any], bytes]]] = {
    Info: _encode_info,
    LookupRequest: _encode_lookup_request,
    LookupReply: _encode_lookup_reply,
    StartRequest: _encode_start_request,
    StartReply: _encode_start_reply,
    StopRequest: _encode_stop_request,
    StopReply: _encode_stop_reply,
}
