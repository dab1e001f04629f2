"""The codec of pmdaroot's messages: against stock's recorded bytes, every cut, and every lie about a length."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypcp.errors import RemoteProtocolError
from pypcp.wire.root import (
    MAX_MESSAGE,
    AgentIpc,
    Info,
    Kind,
    LookupReply,
    LookupRequest,
    Message,
    MessageReader,
    StartReply,
    StartRequest,
    StopReply,
    StopRequest,
    decode,
    encode,
)

VECTORS = Path(__file__).parents[2] / "vectors"

names = st.binary(max_size=4095).map(lambda raw: raw.replace(b"\0", b"?"))
labels = st.binary(min_size=1, max_size=63).map(lambda raw: raw.replace(b"\0", b"?"))
ints = st.integers(-(2**31), 2**31 - 1)
messages = st.one_of(
    st.just(Info()),
    st.builds(LookupRequest, st.just(Kind.HOSTNAME_REQUEST), names, ints),
    st.builds(LookupReply, st.just(Kind.CGROUPNAME), st.just(0), ints, names),
    st.builds(LookupReply, st.just(Kind.PROCESSID), st.integers(-21344, -1), ints, st.just(b"")),
    st.builds(StartRequest, labels, names.filter(bool), st.sampled_from([AgentIpc.SOCKET, AgentIpc.PIPE])),
    st.builds(StartReply, st.integers(-21344, 0), ints, labels),
    st.builds(StopRequest, ints, st.booleans()),
    st.builds(StopReply, st.integers(-21344, 0), ints, ints),
)


def recorded() -> list[tuple[str, str, bytes]]:
    probes = json.loads((VECTORS / "root-probes.json").read_text())
    found = [
        (c["case"], p["dir"], bytes.fromhex(p.get("hex", ""))) for c in probes["cases"] for p in c["pdus"] if "dir" in p
    ]
    starts = json.loads((VECTORS / "root-startstop.json").read_text())
    found += [("start and stop", p["dir"], bytes.fromhex(p.get("hex", ""))) for p in starts["pdus"]]
    return [item for item in found if item[2]]


LIES = {"unknown type", "version 3", "status -1", "short 8 bytes", "hdr.length 8", "hdr.length 9999 (lie)"}
LIES |= {"namelen larger than received", "processid with empty name", "cgroupname with empty name"}


@pytest.mark.parametrize(("case", "direction", "raw"), recorded())
def test_what_stock_sent_is_understood_and_sent_again_byte_for_byte(case: str, direction: str, raw: bytes) -> None:
    if case in LIES and direction.startswith("client"):
        with pytest.raises(RemoteProtocolError):
            frames = MessageReader().feed(raw)
            decode(frames[0] if frames else raw)
        return
    [frame] = MessageReader().feed(raw)
    message = decode(frame)
    if case in ("version 1", "status +5") or len(frame) == 88:  # echoes that an own encoder never makes
        return
    assert encode(message) == raw


def test_the_stack_bytes_that_stock_sends_with_an_error_reach_nobody() -> None:
    raw = next(raw for case, _, raw in recorded() if case == "hostname of bogus pid" and len(raw) == 88)
    assert decode(raw) == LookupReply(Kind.HOSTNAME, -2, 999999)


@settings(max_examples=150, deadline=None)
@given(messages)
def test_every_message_survives_the_journey(message: Message) -> None:
    frame = encode(message)
    assert len(frame) <= MAX_MESSAGE
    assert decode(frame) == message


@settings(max_examples=60, deadline=None)
@given(st.lists(messages, min_size=1, max_size=4), st.data())
def test_messages_are_found_however_the_stream_was_cut(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, got = MessageReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:end])
    assert [decode(frame) for frame in got] == sent
    assert reader.held == 0


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waited_for_in_bounded_memory(raw: bytes) -> None:
    reader = MessageReader()
    try:
        for frame in reader.feed(raw):
            decode(frame)
    except RemoteProtocolError:
        return
    assert reader.held < MAX_MESSAGE


@settings(max_examples=300, deadline=None)
@given(messages, st.integers(0, 27), st.integers(0, 255))
def test_a_message_with_one_byte_changed_never_breaks_the_decoder(message: Message, at: int, value: int) -> None:
    raw = bytearray(encode(message))
    raw[min(at, len(raw) - 1)] = value
    try:
        for frame in MessageReader().feed(bytes(raw)):
            decode(frame)
    except RemoteProtocolError:
        pass


def request(kind: int, length: int, namelen: int, *, version: int = 2, status: int = 0) -> bytes:
    words = (kind, length, status, version, 0, namelen)
    return b"".join((word & 0xFFFFFFFF).to_bytes(4, "little") for word in words)


@pytest.mark.parametrize(
    "raw",
    [
        request(Kind.PROCESSID_REQUEST, 30, -1) + b"nosuch",
        request(Kind.PROCESSID_REQUEST, 30, 3000) + b"nosuch",
        request(Kind.HOSTNAME_REQUEST, -1, 0),
        request(Kind.HOSTNAME_REQUEST, 24 + 4096, 4096),
        request(Kind.INFO + 0x11, 24, 0),
        request(Kind.HOSTNAME_REQUEST, 24, 0, version=3),
        request(Kind.HOSTNAME_REQUEST, 24, 0, version=-1),
        request(Kind.HOSTNAME_REQUEST, 24, 0, status=-1),
        request(Kind.START_REQUEST, 104 + 7900, 0),
        encode(StartRequest(b"x", b"command"))[:28]
        + (9).to_bytes(4, "little")
        + encode(StartRequest(b"x", b"command"))[32:],
        encode(StartRequest(b"x", b"command"))[:32]
        + (64).to_bytes(4, "little")
        + encode(StartRequest(b"x", b"command"))[36:],
    ],
)
def test_lengths_types_versions_and_states_that_cannot_be_are_refused(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        for frame in MessageReader().feed(raw):
            decode(frame)


@pytest.mark.parametrize(
    "message",
    [
        LookupRequest(Kind.HOSTNAME_REQUEST, b"x" * 4096),
        LookupRequest(Kind.HOSTNAME_REQUEST, b"a\0b"),
        StartRequest(b"x" * 64, b"command"),
        StartRequest(b"x", b"c" * 4096),
    ],
)
def test_a_text_that_does_not_fit_its_field_is_not_sent(message: Message) -> None:
    with pytest.raises(ValueError, match="more than"):
        encode(message)
