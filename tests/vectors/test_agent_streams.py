"""Streams between a stock pmcd and stock's agent simple: ours, asked the same, gives the same bytes."""

import pytest

from pypcp.pmda.dispatch import Dispatcher
from pypcp.pmda.finding import find_agent
from pypcp.wire.framing import frame_type
from pypcp.wire.pdu import PduType
from vectors.captures import stream

UNANSWERED = (PduType.PROFILE, PduType.ERROR, PduType.ATTR)


@pytest.mark.parametrize("name", ["pmda-simple-full", "pmda-socket-inet", "pmda-socket-unix"])
def test_our_simple_answers_a_recorded_daemon_byte_for_byte(name):
    dispatcher = Dispatcher(find_agent("simple"))
    asked, reply = "", b""
    compared = 0
    for captured in stream(name):
        type_ = frame_type(captured.frame)
        if type_ == PduType.CREDS:
            continue
        if captured.receiver == "pmda":
            asked, reply = str(captured), dispatcher.answer(captured.frame)
            assert (not reply) == (type_ in UNANSWERED), asked
        else:
            assert reply == captured.frame, asked
            compared += 1
    assert compared or name == "pmda-socket-unix"
