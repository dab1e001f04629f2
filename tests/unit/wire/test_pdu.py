"""The two doors: encode and decode."""

import importlib
import subprocess
import sys
from enum import IntFlag
from pathlib import Path

import pytest

import pypcp.wire
from pypcp.errors import BadArgument, RemoteProtocolError
from pypcp.model.events import EventFlags
from pypcp.model.labels import LabelType
from pypcp.wire.desc import DescRequest
from pypcp.wire.fetch import Fetch
from pypcp.wire.handshake import Error
from pypcp.wire.pdu import Feature, Pdu, PduType, StateChange, UnknownPdu, class_of, decode, encode
from pypcp.wire.text import TextKind

WITHOUT_LAYOUT = {PduType.CONTROL_REQ}


@pytest.mark.parametrize("type_", sorted(set(PduType) - WITHOUT_LAYOUT))
def test_every_type_has_a_class_that_stands_for_it(type_: PduType) -> None:
    assert type_ in class_of(type_).pdu_types


def test_every_class_of_a_pdu_shows_its_layout() -> None:
    for path in Path(pypcp.wire.__file__).parent.glob("*.py"):
        importlib.import_module(f"pypcp.wire.{path.stem}")
    classes = {class_of(type_) for type_ in PduType} - {UnknownPdu}
    assert len(classes) == 20
    assert all("====" in (cls.__doc__ or "") and " 12 " in (cls.__doc__ or "") for cls in classes)


def test_numbers_are_those_of_the_protocol() -> None:
    assert (PduType.ERROR, PduType.CREDS, PduType.DESCS) == (0x7000, 0x700C, 0x7017)
    assert Feature(0x0E44) == Feature.AUTH | Feature.CONTAINER | Feature.LABELS | Feature.HIGHRES | Feature.DESCS
    assert StateChange(24) == StateChange.LABEL_CHANGE | StateChange.NAMES_CHANGE


@pytest.mark.parametrize("flags", [EventFlags, Feature, LabelType, StateChange, TextKind])
def test_flags_that_peers_make_up_stay_numbers_and_are_not_remembered(flags: type[IntFlag]) -> None:
    known = len(flags.__members__)
    for bits in range(1 << 17, (1 << 17) + 500):
        assert type(flags(bits)) is int
    assert len(flags._value2member_map_) < known + 400


@pytest.mark.parametrize("type_", [PduType.CONTROL_REQ, 0x700B, 0x7020, 0x10, 0, 0x9000])
def test_a_type_without_a_layout_is_kept_as_it_came(type_: int) -> None:
    frame = encode(UnknownPdu(type_, b"abcde", 7))
    assert decode(frame) == UnknownPdu(type_, b"abcde", 7)
    assert decode(frame).pdu_type == type_


def test_the_sender_is_in_the_header() -> None:
    frame = encode(DescRequest(0x07400003, sender=9))
    assert frame.hex() == "00000010000070040000000907400003"
    assert decode(frame) == DescRequest(0x07400003, sender=9)


@pytest.mark.parametrize("frame", [b"", bytes(11), bytes.fromhex("00000011 00007004 00000000 00000000")])
def test_what_is_no_whole_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(frame)


@pytest.mark.parametrize("body", ["", "0000", "000000000000000000"])
def test_a_body_of_the_wrong_size_is_refused_by_name(body: str) -> None:
    data = bytes.fromhex(body)
    with pytest.raises(RemoteProtocolError, match="DescRequest: "):
        decode((12 + len(data)).to_bytes(4, "big") + bytes.fromhex("00007004 00000000") + data)


@pytest.mark.parametrize(
    "pdu",
    [
        DescRequest(2**32),
        DescRequest("x"),  # type: ignore[arg-type]
        Error(2**31),
        Fetch(0, ()),
        UnknownPdu(0x7020, "text"),  # type: ignore[arg-type]
        DescRequest(1, sender=2**31),
    ],
)
def test_what_does_not_fit_its_field_cannot_be_sent(pdu: Pdu) -> None:
    with pytest.raises(BadArgument, match=type(pdu).__name__):
        encode(pdu)


def test_a_program_loads_only_the_families_it_meets() -> None:
    program = "import sys; from pypcp.wire.pdu import class_of; class_of(0x7000); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "pypcp.wire.handshake" in loaded
    assert not loaded & {"pypcp.wire.label", "pypcp.wire.result", "pypcp.wire.pmns"}
