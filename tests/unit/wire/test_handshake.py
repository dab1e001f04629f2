"""The challenge, credentials, errors, attributes."""

import pytest

from pypcp.errors import BadArgument, ConnectionLimit, PermissionDenied, RemoteProtocolError
from pypcp.wire.attribute import ATTRIBUTE_LIMIT, Attribute, AttributeKey
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.pdu import Feature, PduType, UnknownPdu, decode, encode

DEFAULT = Feature.AUTH | Feature.CONTAINER | Feature.LABELS | Feature.HIGHRES | Feature.DESCS


def frame(type_: int, body: str) -> bytes:
    return encode(UnknownPdu(type_, bytes.fromhex(body)))


def test_the_default_challenge_is_the_one_stock_sends() -> None:
    data = encode(Challenge(features=DEFAULT))
    assert data.hex() == "0000001400007000000000000000000002010e44"
    assert decode(data) == Challenge(0, DEFAULT, version=2, licensed=1)


@pytest.mark.parametrize(("error", "word"), [(PermissionDenied, "fffffbee"), (ConnectionLimit, "fffffbed")])
def test_a_refusal_carries_the_version_1_code_and_nothing_else(error: type, word: str) -> None:
    data = encode(Challenge(error.code, DEFAULT))  # type: ignore[attr-defined]
    assert data.hex() == "000000140000700000000000" + word + "00000000"
    assert decode(data) == Challenge(error.code, Feature.NONE, 0, 0)  # type: ignore[attr-defined]


def test_a_short_error_keeps_the_code_of_today() -> None:
    assert encode(Error(-12387)).hex() == "000000100000700000000000ffffcf9d"
    assert decode(encode(Error(-12387))) == Error(-12387)


@pytest.mark.parametrize("code", [0, 1, 24, 63, -1, -21357, -(2**31), 2**31 - 1])
def test_an_error_can_have_any_code(code: int) -> None:
    assert decode(encode(Error(code, 5))) == Error(code, 5)


@pytest.mark.parametrize("body", ["", "000000", "000000000000", "00000000 00000000 00000000"])
def test_an_error_is_16_or_20_bytes(body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(frame(PduType.ERROR, body))


def test_a_challenge_with_a_code_that_no_version_has_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="version-1"):
        decode(frame(PduType.ERROR, "80000000 00000000"))


def test_usual_credentials_are_one_word() -> None:
    data = encode(Creds(2, Feature.CONTAINER, 4711))
    assert data.hex() == "000000140000700c000012670000000101020040"
    assert decode(data) == Creds(2, Feature.CONTAINER, 4711)


def test_the_last_of_several_credentials_counts_and_all_are_kept() -> None:
    data = frame(PduType.CREDS, "00000002 01020040 01030004")
    pdu = decode(data)
    assert isinstance(pdu, Creds)
    assert (pdu.version, pdu.flags) == (3, Feature.AUTH)
    assert encode(pdu) == data


@pytest.mark.parametrize("body", ["00000001 02020000", "00000002 01020000 05020000", "00000002 00000000 01020000"])
def test_a_foreign_credential_voids_them_all(body: str) -> None:
    data = frame(PduType.CREDS, body)
    pdu = decode(data)
    assert isinstance(pdu, Creds)
    assert (pdu.version, pdu.flags) == (0, Feature.NONE)
    assert encode(pdu) == data


@pytest.mark.parametrize("body", ["", "00000000", "ffffffff", "00000002 01020000", "00000001 01020000 00000000"])
def test_credentials_are_as_many_as_announced_and_at_least_one(body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(frame(PduType.CREDS, body))


def test_credentials_have_a_limit() -> None:
    assert isinstance(decode(encode(Creds(words=[0x01020000] * 1024))), Creds)
    with pytest.raises(RemoteProtocolError, match="1025"):
        decode(encode(Creds(words=[0x01020000] * 1025)))


@pytest.mark.parametrize("value", [b"", b"web01", b"root\0", bytes(range(256))])
def test_an_attribute_is_not_padded(value: bytes) -> None:
    data = encode(Attribute(AttributeKey.CONTAINER, value))
    assert len(data) == 16 + len(value)
    assert decode(data) == Attribute(AttributeKey.CONTAINER, value)


def test_an_attribute_of_an_unknown_key_keeps_its_number() -> None:
    assert decode(encode(Attribute(99, b"x"))) == Attribute(99, b"x")


def test_an_attribute_has_a_limit_both_ways() -> None:
    longest = Attribute(AttributeKey.SASL, bytes(ATTRIBUTE_LIMIT - 1))
    assert decode(encode(longest)) == longest
    with pytest.raises(BadArgument, match="4096"):
        encode(Attribute(AttributeKey.SASL, bytes(ATTRIBUTE_LIMIT)))
    with pytest.raises(RemoteProtocolError, match="4096"):
        decode(frame(PduType.ATTR, "00000000" + "00" * ATTRIBUTE_LIMIT))


def test_attribute_keys_print_as_host_specifications_name_them() -> None:
    assert [str(key) for key in AttributeKey][1:5] == ["protocol", "secure", "compress", "userauth"]
    assert str(AttributeKey.PROCESSID) == "processid"
