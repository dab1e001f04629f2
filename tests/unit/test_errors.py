"""The table of error codes."""

import errno
import os
import pickle

import pytest

from pypcp import errors
from pypcp.errors import (
    AccessError,
    AgentError,
    AuthenticationError,
    ChannelError,
    OsError,
    PcpError,
    UnlistedError,
    error_string,
    from_code,
    from_v1,
    listed,
    lookup,
    to_v1,
)

TABLE = """
GENERIC -12345, PMNS -12346, NOPMNS -12347, DUPPMNS -12348, TEXT -12349, APPVERSION -12350, VALUE -12351,
TIMEOUT -12353, NODATA -12354, RESET -12355, NAME -12357, PMID -12358, INDOM -12359, INST -12360,
UNIT -12361, CONV -12362, TRUNC -12363, SIGN -12364, PROFILE -12365, IPC -12366, EOF -12368, NOTHOST -12369,
EOL -12370, MODE -12371, LABEL -12372, LOGREC -12373, NOTARCHIVE -12374, LOGFILE -12375, NOCONTEXT -12376,
PROFILESPEC -12377, PMID_LOG -12378, INDOM_LOG -12379, INST_LOG -12380, NOPROFILE -12381, NOAGENT -12386,
PERMISSION -12387, CONNLIMIT -12388, AGAIN -12389, ISCONN -12390, NOTCONN -12391, NEEDPORT -12392,
NONLEAF -12394, TYPE -12397, THREAD -12398, NOCONTAINER -12399, BADSTORE -12400, LOGOVERLAP -12401,
LOGHOST -12402, LOGCHANGETYPE -12404, LOGCHANGESEM -12405, LOGCHANGEINDOM -12406, LOGCHANGEUNITS -12407,
NEEDCLIENTCERT -12408, BADDERIVE -12409, NOLABELS -12410, PMDAFENCED -12411, RECTYPE -12412, FEATURE -12413,
TLS -12414, ARG -12415, BOTCH -12442, TOOSMALL -12443, TOOBIG -12444, FAULT -12445, PMDAREADY -13393,
PMDANOTREADY -13394, NYI -21344
"""


def test_the_table_is_complete_and_has_no_code_twice() -> None:
    expected = [(name, int(code)) for name, code in (entry.split() for entry in TABLE.split(","))]
    assert [(cls.constant.removeprefix("PM_ERR_"), cls.code) for cls in listed()] == expected
    assert len({code for _, code in expected}) == len(expected) == 67


def test_the_list_is_in_the_order_of_pmerr() -> None:
    codes = [cls.code for cls in listed()]
    assert codes == sorted(codes, reverse=True)
    assert (codes[0], codes[-1]) == (-12345, -21344)


@pytest.mark.parametrize("cls", listed(), ids=lambda cls: cls.constant)
def test_a_class_is_found_by_its_code_and_by_its_constant(cls: type[PcpError]) -> None:
    assert type(from_code(cls.code)) is cls
    assert lookup(cls.constant) is cls
    assert str(from_code(cls.code)) == error_string(cls.code) == cls.sentence
    assert cls.sentence


@pytest.mark.parametrize(
    ("constant", "code"),
    [
        ("PM_ERR_GENERIC", -12345),
        ("PM_ERR_IPC", -12366),
        ("PM_ERR_PERMISSION", -12387),
        ("PM_ERR_TOOBIG", -12444),
        ("PM_ERR_PMDANOTREADY", -13394),
        ("PM_ERR_NYI", -21344),
    ],
)
def test_codes_are_those_of_the_protocol(constant: str, code: int) -> None:
    assert lookup(constant).code == code


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (0, "No error"),
        (5, "No such PMAPI error code (5)"),
        (-2, os.strerror(2)),
        (-521, os.strerror(521)),
        (-12352, "No such PMAPI error code (-12352)"),
        (-12366, "IPC protocol failure"),
        (-21344, "Functionality not yet implemented"),
        (-21357, "Authentication - authentication failure"),
        (-21373, "Authentication - sasl_setpass needs old password in order to perform password change"),
        (-21345 - 54, "Authentication - undefined error!"),
        (-22344, "Authentication - undefined error!"),
        (-22345, "Unknown secure sockets error -22345 (-1001)"),
        (-30000, "Unknown secure sockets error -30000 (-8656)"),
    ],
)
def test_every_number_has_a_sentence(code: int, sentence: str) -> None:
    assert error_string(code) == sentence
    if code < 0:
        assert str(from_code(code)) == sentence


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (-1, OsError),
        (-errno.ENOENT, OsError),
        (-12344, OsError),
        (-12352, UnlistedError),
        (-21345, AuthenticationError),
        (-22344, AuthenticationError),
        (-22345, UnlistedError),
        (-(2**31), UnlistedError),
    ],
)
def test_a_code_without_a_constant_keeps_its_number(code: int, cls: type[PcpError]) -> None:
    error = from_code(code)
    assert (type(error), error.code) == (cls, code)


@pytest.mark.parametrize("code", [0, 1, 24])
def test_what_is_not_negative_is_no_error(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        from_code(code)


def test_an_unknown_constant_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        lookup("PM_ERR_NOSUCH")


def test_facts_of_the_case_follow_the_sentence() -> None:
    error = from_code(-12357, "no.such.metric")
    assert str(error) == "Unknown metric name: no.such.metric"
    assert error.detail == "no.such.metric"


@pytest.mark.parametrize("code", [-2, -12357, -12352, -21357])
def test_an_error_can_be_pickled(code: int) -> None:
    copy = pickle.loads(pickle.dumps(from_code(code, "detail")))
    assert (type(copy), copy.code, copy.detail) == (type(from_code(code)), code, "detail")


def test_the_peers_breach_of_the_protocol_is_the_same_code_as_ours() -> None:
    assert errors.RemoteProtocolError.code == errors.ProtocolError.code == -12366
    assert type(from_code(-12366)) is errors.ProtocolError


def test_groups_hold_what_is_handled_alike() -> None:
    assert issubclass(lookup("PM_ERR_TIMEOUT"), ChannelError)
    assert issubclass(lookup("PM_ERR_PERMISSION"), AccessError)
    assert issubclass(AuthenticationError, AccessError)
    assert issubclass(lookup("PM_ERR_AGAIN"), AgentError)


@pytest.mark.parametrize(
    ("code", "v1"),
    [(-12366, -1021), (-12353, -1008), (-12387, -1042), (-12388, -1043), (-21344, -9999), (-2, -2), (0, 0), (24, 24)],
)
def test_version_1_numbers_the_same_errors_from_1000(code: int, v1: int) -> None:
    assert to_v1(code) == v1
    assert from_v1(v1) == code


@pytest.mark.parametrize("code", [-12345, -12344, -999])
def test_the_borders_of_the_version_1_translation(code: int) -> None:
    expected = {-12345: -1000, -12344: -12344, -999: -999}[code]
    assert to_v1(code) == expected
    assert from_v1(-1000) == -12345
    assert from_v1(-999) == -999
