"""Requests made by hand, to stock's pmcd and to ours with the same agents: the same answers, but for what is listed."""

import asyncio
import re
import struct
from collections.abc import Iterator

import pytest

from fakes.client import GREETING, RawClient, fetch
from peers import OurDaemon, StockPmcd
from pypcp.model.ids import Pmid
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.handshake import Creds
from pypcp.wire.pdu import PduType, decode, encode
from vectors.captures import load

SIMPLE = 253 << 22
CREDS = encode(Creds())
PID = Pmid.build(2, 0, 23)
LAST = encode(DescRequest(PID))
"""Sent behind each request: its answer, or the end of the connection, is the last of what comes."""
PAUSE_S = 0.5
MOST = 0x7FFFFFFF


def words(*values: int) -> bytes:
    return b"".join([(value & 0xFFFFFFFF).to_bytes(4, "big") for value in values])


def raw(type_: int, body: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack(">iii", len(body) + 12 if length is None else length, type_, 0) + body


def after_greeting(type_: int, body: bytes = b"", length: int | None = None) -> bytes:
    return GREETING + raw(type_, body, length)


MADE = {
    "fetch of domain 511": GREETING + fetch(511 << 22),
    "fetch of nobody, of null, twice": GREETING + fetch(400 << 22, 0xFFFFFFFF, 0xFFFFFFFF),
    "fetch count wraps": after_greeting(PduType.FETCH, words(0, 0, 0, 0x40000001, SIMPLE)),
    "fetch count -1": after_greeting(PduType.FETCH, words(0, 0, 0, -1, SIMPLE)),
    "fetch of less than is there": after_greeting(PduType.FETCH, words(0, 0, 0, 1, SIMPLE, SIMPLE)),
    "fetch without body": after_greeting(PduType.FETCH),
    "profile without body": CREDS + raw(PduType.PROFILE),
    "profile count wraps": CREDS + raw(PduType.PROFILE, words(0, 0, 0x10000001, 0)),
    "profile instances wrap": CREDS + raw(PduType.PROFILE, words(0, 0, 1, 0, SIMPLE, 0, 0x40000001, 0, 1)),
    "profile trailing word": CREDS + raw(PduType.PROFILE, words(0, 0, 0, 0, 0)),
    "profile same indom twice": CREDS
    + raw(PduType.PROFILE, words(0, 0, 2, 0, SIMPLE, 0, 0, 0, SIMPLE, 1, 0, 0))
    + raw(PduType.DESC_REQ, words(SIMPLE)),
    "desc of domain 511": after_greeting(PduType.DESC_REQ, words(511 << 22)),
    "desc with bit 31": after_greeting(PduType.DESC_REQ, words(SIMPLE | 1 << 31)),
    "descs of null": after_greeting(PduType.DESC_IDS, words(-1, 2, -1, -1)),
    "descs count wraps": after_greeting(PduType.DESC_IDS, words(-1, 0x40000001, SIMPLE)),
    "labels of domain 514": after_greeting(PduType.LABEL_REQ, words(514, 2)),
    "labels of level -1": after_greeting(PduType.LABEL_REQ, words(-1, -1)),
    "labels of the null instances": after_greeting(PduType.LABEL_REQ, words(-1, 32)),
    "instance name of 2 GB": after_greeting(PduType.INSTANCE_REQ, words(SIMPLE, 0, 0, -1, MOST)),
    "instance with a NUL": after_greeting(PduType.INSTANCE_REQ, words(SIMPLE, 0, 0, -1, 3) + b"r\0d~"),
    "instance -2": after_greeting(PduType.INSTANCE_REQ, words(SIMPLE, 0, 0, -2, 0)),
    "instance trailing word": after_greeting(PduType.INSTANCE_REQ, words(SIMPLE, 0, 0, -1, 0, 0)),
    "names -1": after_greeting(PduType.PMNS_NAMES, words(0, 0, -1)),
    "names count wraps": after_greeting(PduType.PMNS_NAMES, words(2, 0, 0x40000000, 1) + b"a~~~"),
    "name with a NUL": after_greeting(PduType.PMNS_NAMES, words(8, 0, 1, 7) + b"sim\0ple~"),
    "name that is no text": after_greeting(PduType.PMNS_NAMES, words(5, 0, 1, 4) + b"\xff\xfe\x80\xc0"),
    "name of dots": after_greeting(PduType.PMNS_NAMES, words(5, 0, 1, 4) + b"...."),
    "two names, the first empty": after_greeting(PduType.PMNS_NAMES, words(14, 0, 2, 0, 12) + b"simple.color"),
    "child of 2 GB": after_greeting(PduType.PMNS_CHILD, words(0, MOST) + b"aaaa"),
    "traverse below a leaf": after_greeting(PduType.PMNS_TRAVERSE, words(0, 14) + b"simple.color.x~~"),
    "names of null": after_greeting(PduType.PMNS_IDS, words(0, 1, -1)),
    "names of domain 511": after_greeting(PduType.PMNS_IDS, words(0, 1, 511 << 22)),
    "store to nobody": after_greeting(PduType.RESULT, words(0, 0, 1, 400 << 22, 1, 0, -1, 5)),
    "store count wraps": after_greeting(PduType.RESULT, words(0, 0, 0x40000000, SIMPLE, 1, 0, -1, 5)),
    "store of 2 billion values": after_greeting(PduType.RESULT, words(0, 0, 1, SIMPLE, MOST, 0, -1, 5)),
    "store in format 3": after_greeting(PduType.RESULT, words(0, 0, 1, SIMPLE, 1, 3, -1, 5)),
    "store of a block of 3 bytes": after_greeting(PduType.RESULT, words(0, 0, 1, SIMPLE, 1, 1, -1, 11, 6 << 24 | 3)),
    "store to pmcd": after_greeting(PduType.RESULT, words(0, 0, 1, 2 << 22 | 2, 1, 0, -1, 7)),
    "1,024 credentials": raw(PduType.CREDS, words(1024, *[0x01020000] * 1024)),
    "credentials wrap": raw(PduType.CREDS, words(0x40000001, 0x01020000)),
    "void credentials, then good": encode(Creds(words=(0x02020000,))) + CREDS,
    "bad flags": encode(Creds(flags=0x0E00)),
    "bad container": encode(Creds(flags=0x40)) + raw(PduType.ATTR, words(15) + b'x","evil":"1'),
    "type 0": CREDS + raw(0),
    "the largest length": CREDS + raw(PduType.DESC_REQ, length=MOST),
    "the least length": CREDS + raw(PduType.DESC_REQ, length=-(2**31)),
}

CLOSED_AFTER_A_REFUSAL = "who ignores a refusal is closed; stock serves on"
STRICT = "nothing may be left over or missing, as 7.2 has it"
DIFFERENT = {
    "no CREDS: DESC_REQ first": "served as version 1",
    "CREDS with flags 0x0e00 (LABELS|HIGHRES|DESCS echoed)": CLOSED_AFTER_A_REFUSAL,
    "CREDS with flag 0x20 NO_NSS_INIT": CLOSED_AFTER_A_REFUSAL,
    "CREDS with flag 0x02 COMPRESS": CLOSED_AFTER_A_REFUSAL,
    "CREDS with flag 0x04 AUTH": "other mechanisms",
    "PMNS_TRAVERSE empty name": "pmcd has more metrics of its own",
    "CREDS numcreds=0": "refused, as by 7.2",
    "CREDS CONTAINER flag, then non-ATTR PDU": CLOSED_AFTER_A_REFUSAL,
    "CREDS CONTAINER flag, ATTR with wrong code 11": CLOSED_AFTER_A_REFUSAL,
    "CREDS CONTAINER flag, ATTR zero length": "refused, as by 7.2",
    "PROFILE ctx=64": "as 7.2",
    "PROFILE ctx=1000000 and fetch on it": "as 7.2",
    "PROFILE short (24 bytes, no pad word)": "taken: nothing is missing that is looked at",
    "INSTANCE_REQ name len not padded": STRICT,
    "TEXT_REQ long PDU": STRICT,
    "TEXT_REQ DSO pmcd.version": "texts in our own words",
    "CREDS flags SECURE|SECURE_ACK to a pmcd without TLS": CLOSED_AFTER_A_REFUSAL,
    "CREDS flags SECURE only to a pmcd without TLS": CLOSED_AFTER_A_REFUSAL,
    "profile trailing word": STRICT,
    "instance trailing word": STRICT,
    "two names, the first empty": "a look-up with an empty name is refused as a whole",
    "store to pmcd": "PM_ERR_PERMISSION, not PM_ERR_PMID: the metric is there and is not for storing",
    "bad flags": CLOSED_AFTER_A_REFUSAL,
    "bad container": "refused, as by 7.2",
}
"""Why the answers differ."""


def cases() -> dict[str, bytes]:
    recorded = {}
    for case in load("raw-probes")["cases"]:
        sent = [each["hex"] for each in case["pdus"] if each["dir"].startswith("client")]
        if "silence" not in case["case"] and not any(each.endswith("...") for each in sent):
            recorded[case["case"]] = bytes.fromhex("".join(sent))
    return recorded | MADE


class OurPmcd(OurDaemon):
    """`pypcp pmcd` with the configuration and the name space of a stock one."""

    def __init__(self, like: StockPmcd) -> None:
        super().__init__("-c", like.directory / "pmcd.conf", "-n", like.directory / "names", tool="pmcd")


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, tuple[list[str], list[str]]]]:
    """What stock and what we answer to each."""
    with StockPmcd(("pmcd", "simple")) as theirs, OurPmcd(theirs) as ours:
        yield asyncio.run(_ask_all(theirs, ours))


async def _ask_all(theirs: StockPmcd, ours: OurDaemon) -> dict[str, tuple[list[str], list[str]]]:
    few = asyncio.Semaphore(4)  # stock lets five wait

    async def both(what: bytes) -> tuple[list[str], list[str]]:
        async with few:
            return await _ask(theirs, what), await _ask(ours, what)

    named = cases()
    return dict(zip(named, await asyncio.gather(*map(both, named.values())), strict=True))


async def _ask(daemon: StockPmcd | OurDaemon, what: bytes) -> list[str]:
    said: list[str] = []
    async with RawClient(daemon.socket, PAUSE_S) as client:
        await client.receive()
        await client.send(what)
        try:
            await client.send(LAST)
            while frame := await client.receive():
                reply = decode(frame)
                said.append(_without_values(repr(reply)))
                if isinstance(reply, DescReply) and reply.desc.pmid == PID:
                    break
        except TimeoutError:
            said.append("open")
        except OSError:
            pass
    return said


def _without_values(text: str) -> str:
    """Times and counts differ from one daemon, and one moment, to the next."""
    return re.sub(r"time_ns=\d+|values=\[\d+\]", "", text)


@pytest.mark.parametrize("name", cases())
def test_hand_made_requests_have_the_answers_of_stock(
    name: str, answers: dict[str, tuple[list[str], list[str]]]
) -> None:
    theirs, ours = answers[name]
    if name in DIFFERENT:
        assert ours != theirs, "no longer different"
    else:
        assert ours == theirs
