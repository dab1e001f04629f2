"""Every PDU that stock sent: decoded whole, encoded to the same bytes, cut right from any stream."""

from itertools import pairwise

import pytest

from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.framing import ANY_SIZE_LIMIT, FrameReader, frame_sender, frame_type
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Pdu, UnknownPdu, decode, encode
from pypcp.wire.session import Phase
from pypcp.wire.versions import PDU_VERSION2, Channel
from sessions import AgentSession, ClientSession, Party
from vectors.captures import Captured, stream, stream_names

pytestmark = pytest.mark.parametrize("name", stream_names())


def directions(captured: list[Captured]) -> list[list[Captured]]:
    """The PDUs of each direction on its own, as they follow each other in one byte stream."""
    return [[pdu for pdu in captured if pdu.sender == sender] for sender in sorted({pdu.sender for pdu in captured})]


def test_every_pdu_is_known_and_encodes_to_its_own_bytes(name: str) -> None:
    for captured in stream(name):
        pdu = decode(captured.frame)
        assert not isinstance(pdu, UnknownPdu), captured
        assert encode(pdu) == captured.frame, captured
        assert pdu.pdu_type == frame_type(captured.frame), captured
        assert pdu.sender == frame_sender(captured.frame), captured


def test_a_channel_of_version_2_changes_nothing(name: str) -> None:
    channel = Channel(version=PDU_VERSION2)
    for captured in stream(name):
        assert encode(decode(captured.frame, channel), channel) == captured.frame, captured


def test_a_stream_that_comes_byte_by_byte_gives_the_same_pdus(name: str) -> None:
    for side in directions(stream(name)):
        reader = FrameReader(ANY_SIZE_LIMIT)
        frames = []
        for captured in side:
            for byte in captured.frame:
                frames += reader.feed(bytes([byte]))
            assert reader.pending == 0
        assert frames == [captured.frame for captured in side]


def test_a_stream_that_comes_with_bytes_left_over_gives_the_same_pdus(name: str) -> None:
    for side in directions(stream(name)):
        whole = b"".join(captured.frame for captured in side)
        cuts = sorted({0, 5, len(whole) // 3, len(whole) // 2 + 1, len(whole)})
        reader = FrameReader(ANY_SIZE_LIMIT)
        frames = [frame for start, end in pairwise(cuts) for frame in reader.feed(whole[start:end])]
        assert frames == [captured.frame for captured in side]


def test_both_ends_find_the_conversation_legal(name: str) -> None:
    captured = stream(name)
    if captured[0].receiver == "client":
        follow_client(name, captured)
    else:
        follow_agent(name, captured)


def follow_client(name: str, captured: list[Captured]) -> None:
    unix = "unix" in name
    ends = [ClientSession(party, user_known=unix) for party in (Party.CLIENT, Party.PMCD)]
    for recorded in captured:
        pdu = decode(recorded.frame)
        for session in ends:
            # What is not about SASL shows that it is over; nobody says so on the wire.
            sasl = isinstance(pdu, Error) or (isinstance(pdu, Attribute) and pdu.key == AttributeKey.SASL)
            if session.phase is Phase.SASL_SERVER and not sasl:
                session.authenticated()
            tell(session, recorded, pdu)
        assert ends[0].phase is ends[1].phase, recorded
        assert ends[0].owed == ends[1].owed, recorded


def follow_agent(name: str, captured: list[Captured]) -> None:
    not_ready = name == "pmda-nr-start"
    ends = [AgentSession(party, starts_not_ready=not_ready) for party in (Party.PMCD, Party.AGENT)]
    if not isinstance(decode(captured[0].frame), Creds):
        # One recording begins after the handshake.
        greeting = [("pmda", "pmcd"), ("pmcd", "pmda")]
        captured = [Captured(name, -1, *way, encode(Creds()), "") for way in greeting] + captured
    for recorded in captured:
        pdu = decode(recorded.frame)
        for session in ends:
            tell(session, recorded, pdu)
        assert ends[0].phase is ends[1].phase, recorded


def tell(session: ClientSession | AgentSession, recorded: Captured, pdu: Pdu) -> None:
    party = {"client": Party.CLIENT, "pmcd": Party.PMCD, "pmda": Party.AGENT}[recorded.sender]
    if party is session.us:
        session.sent(pdu)
    else:
        session.received(pdu)
