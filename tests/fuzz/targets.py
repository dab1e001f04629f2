"""What is fuzzed, and what must hold for any bytes. Plain functions: the tests call them with the corpus kept here."""

import struct
from functools import cache

from fuzz.collector import Collector, Refusal
from pypcp.errors import PcpError
from pypcp.wire.framing import FrameReader
from pypcp.wire.pdu import Pdu, decode, encode
from pypcp.wire.versions import PDU_VERSION1, PDU_VERSION2, Channel

_HEADER = struct.Struct(">iii")
_CHANNELS = (None, Channel(version=PDU_VERSION1), Channel(version=PDU_VERSION2))


@cache
def collector() -> Collector:
    """One daemon for all inputs: what an input leaves behind is what the next one meets."""
    return Collector()


def fuzz_decoder(data: bytes) -> None:
    """Any bytes are whole PDUs, or one of the two refusals; a PDU that is read can be sent, and read the same again."""
    for channel in _CHANNELS:
        for frame in _frames(data):
            try:
                pdu = decode(frame, channel)
            except PcpError:
                continue
            if channel is None:
                _check_round_trip(pdu)


def _frames(data: bytes) -> list[bytes]:
    reader = FrameReader(65536)
    frames = []
    try:
        for chunk in pieces(data):
            frames += reader.feed(chunk)
    except PcpError:
        pass
    return frames


def _check_round_trip(pdu: Pdu) -> None:
    try:
        frame = encode(pdu)
    except PcpError:
        return  # what no honest peer sends can be read and not be written: empty lists, say
    again = decode(frame)
    if repr(again) != repr(pdu) and encode(again) != frame:
        raise Refusal(f"{pdu} was read from its own bytes as {again}")


def fuzz_daemon(data: bytes) -> None:
    """Whatever a client sends: no exception, nothing left behind, the next client is served."""
    collector().converse(pieces(data))


def pieces(data: bytes) -> list[bytes]:
    """The bytes in pieces as they may arrive: the first byte says how long they are, 0 for all at once."""
    size = data[0] if data else 0
    body = data[1:]
    if not size:
        return [body] if body else []
    return [body[at : at + size] for at in range(0, len(body), size)]


def with_lengths(data: bytes) -> bytes:
    """The same with each PDU's length as it is: what a mutation did to one PDU leaves the next ones readable."""
    out = bytearray(data[:1])
    body = memoryview(data)[1:]
    while len(body) >= _HEADER.size:
        length, type_, sender = _HEADER.unpack_from(body)
        if length < _HEADER.size:
            length = len(body)
        frame = body[:length]
        out += _HEADER.pack(len(frame), type_, sender) + frame[_HEADER.size :]
        body = body[length:]
    return bytes(out + body)


TARGETS = {"decoder": fuzz_decoder, "daemon": fuzz_daemon}
