"""Requests that no honest client sends: each is refused as stock refuses it, or closes the connection, and no more.

The codes are stock's own reactions (tests/vectors/data/raw-probes.json and a stock pmcd beside ours) except where a
comment says what is stricter here, and why.
"""

import struct
from typing import Any

import pytest

from fakes.client import RawClient, fetch
from fuzz.collector import DOMAIN, kitchen_sink
from honest import NUMAGENTS, beside
from pypcp.errors import (
    BadType,
    ConversionError,
    NoAgent,
    NoText,
    NotLeaf,
    PermissionDenied,
    ProtocolError,
    TooFew,
    UnknownInDom,
    UnknownInstance,
    UnknownName,
    UnknownPmid,
)
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import PduType, encode
from pypcp.wire.result import Result
from running import Starter

pytestmark = pytest.mark.anyio
SINK = DOMAIN << 22
STRING_METRIC, MANY_U32 = SINK | 6, SINK | 101
U32_METRIC = SINK | 1
INDOM = SINK | 1
NOBODY = 400 << 22
HIGH_BIT = 1 << 31
CLOSED = None
SILENCE = 0
MOST = 0x7FFFFFFF
STILL_THERE = encode(Result(0, []))
"""A store of nothing: its answer is an ERROR with code 0, which no other request here has."""


def words(*values: int) -> bytes:
    return b"".join([(value & 0xFFFFFFFF).to_bytes(4, "big") for value in values])


def raw(type_: int, body: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">iii", len(body) + 12 if length is None else length, type_, 0) + body


def padded(text: bytes) -> bytes:
    return text + b"~" * (-len(text) % 4)


def names(*each: bytes, count: int | None = None, total: int | None = None) -> bytes:
    size = sum(len(name) + 1 for name in each) if total is None else total
    entries = b"".join([words(len(name)) + padded(name) for name in each])
    return raw(PduType.PMNS_NAMES, words(size, 0, len(each) if count is None else count) + entries)


def store(pmid: int, format_: int, word: int, *blocks: bytes, instance: int = -1) -> bytes:
    return raw(PduType.RESULT, words(0, 0, 1, pmid, 1, format_, instance, word) + b"".join(blocks))


def block(type_: int, data: bytes) -> bytes:
    return words(type_ << 24 | 4 + len(data)) + padded(data)


# 11 words of a store's value set come before its first block.
IPC = ProtocolError.code
REFUSED: dict[str, tuple[bytes, int]] = {
    # types
    "type 0x7020": (raw(0x7020), IPC),
    "type 0x700b": (raw(0x700B), IPC),
    "CONTROL_REQ": (raw(PduType.CONTROL_REQ, bytes(1000)), IPC),
    "a type far away": (raw(MOST), IPC),
    "an ERROR": (encode(Error(-1)), IPC),
    "an ERROR like a challenge": (raw(PduType.ERROR, words(0, 0x02010E44)), IPC),
    "a DESC": (raw(PduType.DESC, words(U32_METRIC, 1, -1, 3, 0)), IPC),
    "an attribute": (raw(PduType.ATTR, words(15) + b"web01"), IPC),
    "a HIGHRES_RESULT": (raw(PduType.HIGHRES_RESULT, words(1, 0, 0, 0, 0, U32_METRIC, 1, 0, -1, 5)), IPC),
    # fetch
    "a fetch without body": (raw(PduType.FETCH), IPC),
    "a fetch of nothing": (raw(PduType.FETCH, words(0, 0, 0, 0)), IPC),
    "a fetch of minus one metrics": (raw(PduType.FETCH, words(0, 0, 0, -1, U32_METRIC)), IPC),
    "a fetch of more than is there": (raw(PduType.FETCH, words(0, 0, 0, 2, U32_METRIC)), IPC),
    "a fetch of less than is there": (raw(PduType.FETCH, words(0, 0, 0, 1, U32_METRIC, U32_METRIC)), IPC),
    "a fetch count that wraps": (raw(PduType.FETCH, words(0, 0, 0, 0x40000001, U32_METRIC)), IPC),
    "a fetch without profile": (fetch(U32_METRIC, context=1), -12381),
    "a fetch of context minus one": (fetch(U32_METRIC, context=-1), -12381),
    # profile
    "a profile without body": (raw(PduType.PROFILE), IPC),
    "a profile of context minus one": (raw(PduType.PROFILE, words(-1, 0, 0, 0)), IPC),
    "a profile of minus one domains": (raw(PduType.PROFILE, words(0, 0, -1, 0)), IPC),
    "a profile count that wraps": (raw(PduType.PROFILE, words(0, 0, 0x10000001, 0)), IPC),
    "a profile of instances that are not there": (raw(PduType.PROFILE, words(0, 0, 1, 0, INDOM, 1, 2, 0, 7)), IPC),
    "an instance count that wraps": (raw(PduType.PROFILE, words(0, 0, 1, 0, INDOM, 1, 0x40000001, 0, 7)), IPC),
    "minus one instances": (raw(PduType.PROFILE, words(0, 0, 1, 0, INDOM, 1, -1, 0)), IPC),
    # PCP 7 has this limit, 6 takes any number and keeps a table as long as that
    "a profile of context 64": (raw(PduType.PROFILE, words(64, 0, 0, 0)), -11),
    "a profile of the last context": (raw(PduType.PROFILE, words(MOST, 0, 0, 0)), -11),
    # descriptors
    "DESC_REQ without body": (raw(PduType.DESC_REQ), IPC),
    "DESC_REQ of two bytes": (raw(PduType.DESC_REQ, b"ab"), IPC),
    "DESC_REQ with a word too many": (raw(PduType.DESC_REQ, words(U32_METRIC, 0)), IPC),
    "DESC_REQ of PM_ID_NULL": (raw(PduType.DESC_REQ, words(-1)), UnknownPmid.code),
    "DESC_REQ of nobody": (raw(PduType.DESC_REQ, words(NOBODY)), UnknownPmid.code),
    "DESC_REQ of domain 511": (raw(PduType.DESC_REQ, words(511 << 22)), UnknownPmid.code),
    "DESC_IDS of nothing": (raw(PduType.DESC_IDS, words(-1, 0)), IPC),
    "DESC_IDS with another status": (raw(PduType.DESC_IDS, words(0, 1, U32_METRIC)), IPC),
    "DESC_IDS count that wraps": (raw(PduType.DESC_IDS, words(-1, 0x40000001, U32_METRIC)), IPC),
    "DESC_IDS of minus one": (raw(PduType.DESC_IDS, words(-1, -1)), IPC),
    "DESC_IDS of one unknown": (raw(PduType.DESC_IDS, words(-1, 1, NOBODY)), UnknownPmid.code),
    # instances
    "INSTANCE_REQ cut short": (raw(PduType.INSTANCE_REQ, words(INDOM, 0, 0)), IPC),
    "INSTANCE_REQ of a name of minus 3": (raw(PduType.INSTANCE_REQ, words(INDOM, 0, 0, -1, -3)), IPC),
    "INSTANCE_REQ of a name of 2 GB": (raw(PduType.INSTANCE_REQ, words(INDOM, 0, 0, -1, MOST)), IPC),
    "INSTANCE_REQ by name and id": (
        raw(PduType.INSTANCE_REQ, words(INDOM, 0, 0, 7, 4) + b"zero"),
        UnknownInstance.code,
    ),
    "INSTANCE_REQ of an unknown name": (raw(PduType.INSTANCE_REQ, words(INDOM, 0, 0, -1, 4) + b"zer\0"), -12360),
    "INSTANCE_REQ of an unknown id": (raw(PduType.INSTANCE_REQ, words(INDOM, 0, 0, 77, 0)), UnknownInstance.code),
    "INSTANCE_REQ of PM_INDOM_NULL": (raw(PduType.INSTANCE_REQ, words(-1, 0, 0, -1, 0)), UnknownInDom.code),
    "INSTANCE_REQ of nobody": (raw(PduType.INSTANCE_REQ, words(NOBODY, 0, 0, -1, 0)), UnknownInDom.code),
    # Stock takes these two; no library sends them.
    "INSTANCE_REQ of a name not padded": (raw(PduType.INSTANCE_REQ, words(INDOM, 0, 0, -1, 5) + b"seven"), IPC),
    "INSTANCE_REQ with a word too many": (raw(PduType.INSTANCE_REQ, words(INDOM, 0, 0, -1, 0, 0)), IPC),
    # texts
    "TEXT_REQ cut short": (raw(PduType.TEXT_REQ, words(U32_METRIC)), IPC),
    "TEXT_REQ of neither": (raw(PduType.TEXT_REQ, words(U32_METRIC, 0)), UnknownPmid.code),
    "TEXT_REQ of nobody": (raw(PduType.TEXT_REQ, words(NOBODY, 5)), UnknownPmid.code),
    "TEXT_REQ of everything at once": (raw(PduType.TEXT_REQ, words(U32_METRIC, -1)), NoText.code),
    # labels
    "LABEL_REQ cut short": (raw(PduType.LABEL_REQ, words(U32_METRIC)), IPC),
    "LABEL_REQ of no level": (raw(PduType.LABEL_REQ, words(-1, 0)), BadType.code),
    "LABEL_REQ of two levels": (raw(PduType.LABEL_REQ, words(-1, 3)), BadType.code),
    "LABEL_REQ of a flag": (raw(PduType.LABEL_REQ, words(-1, 0x81)), BadType.code),
    "LABEL_REQ of level minus one": (raw(PduType.LABEL_REQ, words(-1, -1)), BadType.code),
    "LABEL_REQ with the sign bit": (raw(PduType.LABEL_REQ, words(-1, HIGH_BIT | 1)), BadType.code),
    "LABEL_REQ of domain 400": (raw(PduType.LABEL_REQ, words(400, 2)), NoAgent.code),
    "LABEL_REQ of a domain past the last": (raw(PduType.LABEL_REQ, words(512 + DOMAIN, 2)), NoAgent.code),
    "LABEL_REQ of domain minus one": (raw(PduType.LABEL_REQ, words(-1, 2)), NoAgent.code),
    "LABEL_REQ of the null metric": (raw(PduType.LABEL_REQ, words(-1, 16)), UnknownPmid.code),
    "LABEL_REQ of the null instances": (raw(PduType.LABEL_REQ, words(-1, 32)), UnknownInDom.code),
    # names
    "no name": (names(), TooFew.code),
    "minus one names": (names(count=-1), IPC),
    "more names than are there": (names(b"pmcd", count=2), IPC),
    "a name count that wraps": (names(b"pmcd", count=0x40000001), IPC),
    "a name of minus one bytes": (raw(PduType.PMNS_NAMES, words(2, 0, 1, -1)), IPC),
    "a name of 2 GB": (raw(PduType.PMNS_NAMES, words(2, 0, 1, MOST)), IPC),
    "an empty name": (names(b""), IPC),
    "names of another size": (names(b"pmcd", total=99), IPC),
    "statuses that are not there": (raw(PduType.PMNS_NAMES, words(2, 2, 1, 0, 1) + b"a~~~"), IPC),
    "a name with a NUL": (names(b"pmcd\0pid"), UnknownName.code),
    "a name that is no text": (names(b"\xff\xfe\x80\xc0"), UnknownName.code),
    "a name of dots": (names(b"...."), UnknownName.code),
    "a name of ten thousand parts": (names(b"pmcd" + b".a" * 10_000), UnknownName.code),
    "a name of 65,000 bytes": (names(b"x" * 65_000), UnknownName.code),
    "a name that is no leaf": (names(b"pmcd"), NotLeaf.code),
    "a name below a leaf": (names(b"pmcd.pid.x"), UnknownName.code),
    "PMNS_CHILD of minus one bytes": (raw(PduType.PMNS_CHILD, words(0, -1)), IPC),
    "PMNS_CHILD of 2 GB": (raw(PduType.PMNS_CHILD, words(0, MOST) + b"aaaa"), IPC),
    "PMNS_CHILD of nothing known": (raw(PduType.PMNS_CHILD, words(0, 4) + b"bogu"), UnknownName.code),
    "PMNS_TRAVERSE without body": (raw(PduType.PMNS_TRAVERSE), IPC),
    "PMNS_TRAVERSE of minus one bytes": (raw(PduType.PMNS_TRAVERSE, words(0, -1)), IPC),
    "PMNS_TRAVERSE below a leaf": (raw(PduType.PMNS_TRAVERSE, words(0, 12) + b"pmcd.pid.abc"), UnknownName.code),
    "PMNS_IDS of nothing": (raw(PduType.PMNS_IDS, words(0, 0)), IPC),
    "PMNS_IDS of two": (raw(PduType.PMNS_IDS, words(0, 2, U32_METRIC, NUMAGENTS)), IPC),
    "PMNS_IDS of PM_ID_NULL": (raw(PduType.PMNS_IDS, words(0, 1, -1)), NoAgent.code),
    "PMNS_IDS of nobody": (raw(PduType.PMNS_IDS, words(0, 1, NOBODY)), NoAgent.code),
    "PMNS_IDS of an unknown item": (raw(PduType.PMNS_IDS, words(0, 1, SINK | 999)), UnknownPmid.code),
    # stores
    "a store of minus one metrics": (raw(PduType.RESULT, words(0, 0, -1)), IPC),
    "a store count that wraps": (raw(PduType.RESULT, words(0, 0, 0x40000000, U32_METRIC, 1, 0, -1, 5)), IPC),
    "a store of 2 billion values": (raw(PduType.RESULT, words(0, 0, 1, U32_METRIC, MOST, 0, -1, 5)), IPC),
    "a store in format 3": (store(U32_METRIC, 3, 5), IPC),
    "a store that points outside": (store(U32_METRIC, 1, 500), IPC),
    "a store that points into its header": (store(U32_METRIC, 1, 2), IPC),
    "a store that points at itself": (store(U32_METRIC, 1, 0), IPC),
    "a store of a block of 3 bytes": (store(STRING_METRIC, 1, 11, words(6 << 24 | 3)), IPC),
    "a store of a block too long": (store(STRING_METRIC, 1, 11, words(6 << 24 | 4000)), IPC),
    "a store of a block nobody points at": (store(U32_METRIC, 0, 5, block(6, b"abc\0")), IPC),
    "a store of a shared block": (
        raw(PduType.RESULT, words(0, 0, 1, MANY_U32, 2, 1, 0, 13, 7, 13) + block(1, words(5))),
        IPC,
    ),
    "a store of events that are not there": (store(STRING_METRIC, 1, 11, block(9, words(0x10000000))), IPC),
    "a store of type 77": (store(STRING_METRIC, 1, 11, block(77, b"abcd")), IPC),
    "a string where a number is": (store(U32_METRIC, 1, 11, block(6, b"abc\0")), ConversionError.code),
    # What kills stock: it takes the number for the string's address.
    "a number where a string is": (store(STRING_METRIC, 0, 0xDEADBEE), ConversionError.code),
    "a number where bytes are": (store(SINK | 7, 0, 0xDEADBEE), ConversionError.code),
    "a number where a double is": (store(SINK | 5, 0, 0xDEADBEE), ConversionError.code),
    "a store to an instance that is not there": (store(MANY_U32, 0, 5, instance=5), UnknownInstance.code),
    "a store to nobody": (store(NOBODY, 0, 5), NoAgent.code),
    "a store to PM_ID_NULL": (store(0xFFFFFFFF, 0, 5), NoAgent.code),
    "a store to an unknown item": (store(SINK | 999, 0, 5), UnknownPmid.code),
    "a store to what is not for storing": (store(NUMAGENTS, 0, 5), PermissionDenied.code),
    # a second greeting
    "credentials with a server's flags": (encode(Creds(flags=0x0E00)), IPC),
    "credentials that say there are two": (raw(PduType.CREDS, words(2, 0x01020000)), IPC),
    "credentials of minus one": (raw(PduType.CREDS, words(-1)), IPC),
    "credentials that wrap": (raw(PduType.CREDS, words(0x40000001, 0x01020000)), IPC),
    "1,025 credentials": (raw(PduType.CREDS, words(1025, *[0x01020000] * 1025)), IPC),
}
CLOSING: dict[str, bytes] = {
    "a length of 11": raw(PduType.DESC_REQ, length=11),
    "a length of 0": raw(PduType.DESC_REQ, length=0),
    "a length of minus one": raw(PduType.DESC_REQ, length=-1),
    "the least length": raw(PduType.DESC_REQ, length=-(2**31)),
    "the largest length": raw(PduType.DESC_REQ, length=MOST),
    "a length above the limit": raw(PduType.PMNS_TRAVERSE, words(0, 4) + b"pmcd" + b"~" * 65_517),
    "a negative type": raw(-5),
    "type 0": raw(0),
    "text": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "the start of TLS": bytes.fromhex("1603010200010001fc0303") + bytes(200),
}
SILENT: dict[str, bytes] = {
    "a profile": raw(PduType.PROFILE, words(0, 0, 0, 0)),
    "a profile of the last context there is": raw(PduType.PROFILE, words(63, 0, 0, 0)),
    "a profile in an unknown state": raw(PduType.PROFILE, words(0, 7, 1, 0, INDOM, 9, 0, 0)),
    "credentials once more": encode(Creds()),
    "credentials of a foreign kind": raw(PduType.CREDS, words(1, 0x02020000)),
    "credentials without a version": encode(Creds(version=0)),
    "1,024 credentials": raw(PduType.CREDS, words(1024, *[0x01020000] * 1024)),
}


def cases(table: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("what", table.values(), ids=table.keys())


@cases(REFUSED)
async def test_refused_with_its_code_and_forgotten_is(start: Starter, what: tuple[bytes, int]) -> None:
    request, code = what
    async with start(own=[kitchen_sink()]) as running, beside(running), RawClient(running.path) as client:
        await client.greeted()
        assert await client.code(request) == code
        if request[4:8] != words(PduType.CREDS):
            assert await client.code(STILL_THERE) == 0


@cases(CLOSING)
async def test_closed_without_a_word_is_a_connection_that_brings(start: Starter, what: bytes) -> None:
    async with start(own=[kitchen_sink()]) as running, beside(running), RawClient(running.path) as client:
        await client.greeted()
        assert await client.answer(what) is CLOSED


@cases(SILENT)
async def test_taken_in_silence_is(start: Starter, what: bytes) -> None:
    async with start(own=[kitchen_sink()]) as running, beside(running), RawClient(running.path) as client:
        await client.greeted()
        assert await client.code(what + STILL_THERE) == 0
