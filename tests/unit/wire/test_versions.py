"""The IPC table, and what a version-1 peer is sent."""

import errno
import io
import struct
import threading

import pytest

from pypcp.errors import AgentNotReady, OsError, ProtocolError, RequestTimeout, TryAgain, from_code
from pypcp.model.values import ValueFormat, ValueSet, ValueType
from pypcp.wire.handshake import Challenge, Error
from pypcp.wire.pdu import decode, encode
from pypcp.wire.result import Result, typed
from pypcp.wire.versions import (
    PDU_OVERRIDE1,
    PDU_OVERRIDE2,
    PDU_VERSION1,
    PDU_VERSION2,
    Channel,
    IpcTable,
    value_sets_from_v1,
    value_sets_to_v1,
)

V1 = Channel(version=PDU_VERSION1)


def printed(table: IpcTable) -> str:
    stream = io.StringIO()
    table.print_table(stream)
    return stream.getvalue()


def test_the_golden_story_of_the_table() -> None:
    table = IpcTable()
    table.add(7, Channel(version=PDU_VERSION2))
    table.add(3, Channel(version=PDU_VERSION1))
    assert table.lookup().fd == 3
    assert table.lookup().version == 1
    table.override_last(7)
    assert table.lookup().version == 2
    table.reset(7)
    assert table.lookup().version == 0
    with pytest.raises(ProtocolError) as caught:
        table.lookup_fd(-1)
    assert caught.value.code == -12366
    assert table.lookup_fd(-1001).version == 1
    assert table.lookup_fd(-1002).version == 2


def test_before_any_use_there_is_no_last_channel() -> None:
    table = IpcTable()
    with pytest.raises(ProtocolError):
        table.lookup()
    assert table.last_version() == 0


def test_adding_replaces_and_tells_the_channel_its_descriptor() -> None:
    table = IpcTable()
    first, second = Channel(version=1), Channel(version=2)
    table.add(5, first)
    table.add(5, second)
    assert table.lookup_fd(5) is second
    assert second.fd == 5


def test_a_channel_in_this_process_has_no_descriptor_and_says_what_it_knows() -> None:
    assert repr(Channel(version=2, features=0xE44)) == "Channel(fd=None, version=2, socket=False, features=0x0e44)"


def test_a_negative_descriptor_registers_nothing() -> None:
    table = IpcTable()
    table.add(4, Channel(version=2))
    for register in (
        lambda: table.add(-1, Channel(version=2)),
        lambda: table.set_version(-1, 2),
        lambda: table.set_features(-1, 2, 3),
        lambda: table.set_socket(-1),
        lambda: table.set_data(-1, "state"),
    ):
        with pytest.raises(OsError) as caught:
            register()
        assert caught.value.code == -errno.EBADF
    assert table.lookup().fd == 4
    assert printed(table) == "IPC table fd(PDU version): 4(2,0)\n"


@pytest.mark.parametrize(("added", "inside", "beyond"), [(0, 3, 4), (3, 3, 4), (4, 7, 8), (100, 127, 128)])
def test_the_table_doubles_until_it_covers_a_descriptor(added: int, inside: int, beyond: int) -> None:
    table = IpcTable()
    table.add(added, Channel(version=2))
    assert table.lookup_fd(inside).version in (0, 2)
    with pytest.raises(ProtocolError):
        table.lookup_fd(beyond)


def test_a_slot_that_was_never_set_is_of_version_0_and_has_no_data() -> None:
    table = IpcTable()
    table.set_version(6, 2)
    assert table.lookup_fd(2).version == 0
    assert table.data(2) is None


def test_a_descriptor_beyond_the_table_has_no_facts() -> None:
    table = IpcTable()
    assert (table.version(9), table.socket(9), table.features(9)) == (0, False, 0)
    with pytest.raises(OsError) as caught:
        table.data(9)
    assert caught.value.code == -errno.ESRCH


def test_each_fact_is_set_alone_and_makes_its_descriptor_the_last() -> None:
    table = IpcTable()
    table.set_version(3, 2)
    table.set_socket(3)
    table.set_features(4, 1, 0x1_0E44)
    table.set_data(5, "state")
    assert (table.version(3), table.socket(3), table.features(3)) == (2, True, 0)
    assert (table.version(4), table.features(4)) == (1, 0x0E44)
    assert (table.data(5), table.data(3)) == ("state", None)
    assert table.lookup().fd == 5


def test_the_version_is_eight_bits_wide() -> None:
    table = IpcTable()
    table.set_version(5, 300)
    assert table.version(5) == 44


def test_reading_a_fact_leaves_the_last_descriptor_alone() -> None:
    table = IpcTable()
    table.set_version(3, 2)
    table.set_version(4, 1)
    table.version(3), table.socket(3), table.features(3), table.data(3), table.lookup_fd(3)
    assert table.last_version() == 1


@pytest.mark.parametrize(("fd", "version"), [(PDU_OVERRIDE1, 1), (PDU_OVERRIDE2, 2)])
def test_the_override_descriptors_force_a_version_through_every_accessor(fd: int, version: int) -> None:
    table = IpcTable()
    assert table.version(fd) == version
    assert table.lookup_fd(fd).version == version
    assert (table.socket(fd), table.features(fd), table.data(fd)) == (False, 0, None)
    table.override_last(fd)
    assert table.last_version() == version
    assert table.lookup().version == version


def test_what_is_done_to_an_overridden_channel_stays_with_its_holder() -> None:
    table = IpcTable()
    table.lookup_fd(PDU_OVERRIDE2).version = 7
    assert table.version(PDU_OVERRIDE2) == 2


def test_reset_forgets_everything_and_an_unknown_descriptor_is_no_matter() -> None:
    table = IpcTable()
    table.set_features(3, 2, 0xE44)
    table.set_socket(3)
    table.set_data(3, "state")
    table.reset(3)
    table.reset(-5)
    table.reset(1000)
    assert (table.version(3), table.socket(3), table.features(3), table.data(3)) == (0, False, 0, None)


def test_the_print_shows_known_slots_in_order_with_version_and_socket() -> None:
    table = IpcTable()
    assert printed(table) == "IPC table fd(PDU version):\n"
    table.set_socket(5)
    assert printed(table) == "IPC table fd(PDU version):\n"
    table.set_version(5, 300)
    table.set_version(3, 2)
    assert printed(table) == "IPC table fd(PDU version): 3(2,0) 5(44,1)\n"


def test_a_pair_of_pipes_is_one_channel_under_two_descriptors() -> None:
    table, channel = IpcTable(), Channel(version=1)
    table.add(4, channel)
    table.add(5, channel)
    assert printed(table) == "IPC table fd(PDU version): 4(1,0) 5(1,0)\n"


def test_threads_see_whole_operations() -> None:
    table = IpcTable()
    seen = []

    def work(fd: int) -> None:
        for _ in range(300):
            table.set_features(fd, 2, 0xE44)
            seen.append((table.version(fd), table.features(fd)))
            table.reset(fd)

    threads = [threading.Thread(target=work, args=(fd,)) for fd in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {(2, 0xE44)}
    assert len(seen) == 1200


# Version 1 on the wire.


@pytest.mark.parametrize(("code", "v1"), [(-12366, -1021), (-12353, -1008), (-2, -2), (0, 0)])
def test_error_codes_travel_in_version_1_numbering(code: int, v1: int) -> None:
    frame = encode(Error(code), V1)
    assert struct.unpack(">i", frame[12:]) == (v1,)
    assert decode(frame, V1) == Error(code)
    assert encode(Error(code), Channel(version=PDU_VERSION2))[12:] == struct.pack(">i", code)


def test_the_challenge_is_translated_whatever_the_channel() -> None:
    frame = encode(Challenge(-12387))
    assert frame.hex() == "00000014000070000000000000"[:24] + "fffffbee" + "00000000"
    assert decode(frame) == decode(frame, V1)
    assert decode(frame).code == -12387  # type: ignore[attr-defined]


def test_errors_of_metrics_travel_in_version_1_numbering_both_ways() -> None:
    frame = encode(Result(0, [ValueSet(5, error=RequestTimeout()), ValueSet(6, error=OsError(-2))]), V1)
    assert struct.unpack(">IiIi", frame[24:]) == (5, -1008, 6, -2)
    errors = [value_set.error for value_set in decode(frame, V1).value_sets]  # type: ignore[attr-defined]
    assert [error.code for error in errors] == [-12353, -2]


def test_floats_are_sent_in_place_and_come_back_by_their_descriptor() -> None:
    frame = encode(Result(0, [ValueSet.singular(5, 1.5, ValueType.FLOAT)]), V1)
    assert frame[24:] == struct.pack(">IiIif", 5, 1, ValueFormat.INSITU, -1, 1.5)
    (got,) = decode(frame, V1).value_sets  # type: ignore[attr-defined]
    assert typed(got, ValueType.FLOAT).values == [1.5]


def test_blocks_do_not_say_their_type_and_come_back_by_their_descriptor() -> None:
    frame = encode(Result(0, [ValueSet.singular(5, "on", ValueType.STRING)]), V1)
    assert frame[24:] == struct.pack(">IiIiI", 5, 1, ValueFormat.DPTR, -1, 11) + b"\x00\x00\x00\x07on\0~"
    (got,) = decode(frame, V1).value_sets  # type: ignore[attr-defined]
    assert (got.type, got.values) == (None, [b"on\0"])
    assert typed(got, ValueType.STRING).values == ["on"]


def test_words_in_place_are_the_same_in_both_versions() -> None:
    result = Result(0, [ValueSet(5, [1, 2], [-1, 7], type=ValueType.I32)])
    assert encode(result, V1) == encode(result)


def test_the_translations_leave_what_they_are_given_alone() -> None:
    given = [ValueSet(5, error=TryAgain()), ValueSet.singular(6, 2.5, ValueType.FLOAT)]
    there = value_sets_to_v1(given)
    assert given[0].error.code == TryAgain.code  # type: ignore[union-attr]
    assert (given[1].type, given[1].values) == (ValueType.FLOAT, [2.5])
    back = value_sets_from_v1(there)
    assert back[0].error.code == TryAgain.code  # type: ignore[union-attr]


def test_not_ready_has_its_place_in_version_1_too() -> None:
    assert encode(Error(AgentNotReady.code), V1)[12:] == struct.pack(">i", -2049)
    assert from_code(-13394).__class__ is AgentNotReady
