"""Requests made by hand: what stock refuses as malformed we refuse, what it reads we read, and we read its answers."""

from typing import Any

import pytest

from pypcp.errors import RemoteProtocolError, TooBig
from pypcp.wire.framing import CLIENT_LIMIT, FrameReader
from pypcp.wire.pdu import decode, encode
from vectors.captures import load

MALFORMED = {
    "CREDS numcreds=2 but one element",
    "DESC_IDS numids=0",
    "DESC_IDS sts=0",
    "DESC_REQ long",
    "FETCH numpmid too large for PDU",
    "FETCH numpmid=0",
    "INSTANCE_REQ namelen<0",
    "PROFILE ctx=-1",
    "RESULT (store) bad vindex",
}
"""Stock 6.0.3 answers these with PM_ERR_IPC, and so does 7.2.1."""

MALFORMED_LATER = {
    "CREDS numcreds=0",
    "INSTANCE_REQ name len not padded",
    "TEXT_REQ long PDU",
}
"""Stock 6.0.3 takes these, 7.2.1 does not."""

BAD_FRAMES = {"type negative", "len=11", "len=0", "len=-1"}
PARTIAL = {
    "partial header (8 bytes) then silence",
    "partial header (3 bytes) then silence",
    "partial body then silence",
}

REWRITTEN = {
    "FETCH ok with non-zero when + odd from",
    "PMNS_NAMES with NUL pad bytes",
    "PROFILE g_state=7",
    "PROFILE short (24 bytes, no pad word)",
}
"""Read, but never sent like this."""


def cases() -> list[Any]:
    return [pytest.param(case["case"], case["pdus"], id=case["case"]) for case in load("raw-probes")["cases"]]


def frames(pdus: list[dict[str, str]], sender: str) -> list[bytes]:
    """What one side sent; cut recordings left out."""
    whole = [pdu["hex"] for pdu in pdus if pdu["dir"].startswith(sender) and not pdu["hex"].endswith("...")]
    return [bytes.fromhex(text) for text in whole if text]


def requests(pdus: list[dict[str, str]]) -> list[bytes]:
    reader = FrameReader(CLIENT_LIMIT)
    return [frame for sent in frames(pdus, "client") for frame in reader.feed(sent)]


@pytest.mark.parametrize(("case", "pdus"), cases())
def test_every_answer_of_stock_is_read_and_written_the_same(case: str, pdus: list[dict[str, str]]) -> None:
    answers = frames(pdus, "pmcd")
    assert [encode(decode(frame)) for frame in answers] == answers


@pytest.mark.parametrize(("case", "pdus"), cases())
def test_a_request_is_read_exactly_if_stock_reads_it(case: str, pdus: list[dict[str, str]]) -> None:
    if case in BAD_FRAMES:
        with pytest.raises(RemoteProtocolError):
            requests(pdus)
    elif case in MALFORMED | MALFORMED_LATER:
        with pytest.raises(RemoteProtocolError):
            [decode(frame) for frame in requests(pdus)]
    elif case not in PARTIAL:
        sent = requests(pdus)
        assert ([encode(decode(frame)) for frame in sent] == sent) is (case not in REWRITTEN)


@pytest.mark.parametrize(("case", "pdus"), cases())
def test_half_a_request_is_kept_and_known_to_be_half(case: str, pdus: list[dict[str, str]]) -> None:
    if case in BAD_FRAMES:
        return
    reader = FrameReader(CLIENT_LIMIT)
    for sent in frames(pdus, "client"):
        reader.feed(sent)
    assert (reader.pending > 0) is (case in PARTIAL)


@pytest.mark.parametrize(("length", "taken"), [(65536, True), (65537, False)])
def test_the_limit_for_clients_is_the_one_that_stock_has(length: int, taken: bool) -> None:
    reader = FrameReader(CLIENT_LIMIT)
    header = length.to_bytes(4, "big") + bytes.fromhex("0000700100000000")
    if taken:
        assert reader.feed(header) == []
    else:
        with pytest.raises(TooBig):
            reader.feed(header)
