"""What -D and -T of pmcd mean."""

import logging
from collections.abc import Iterator

import pytest

from peers import require, stock
from pypcp.errors import BadArgument
from pypcp.pmcd.debug_flags import FLAGS, LOGGERS, flags_of, switch_on
from pypcp.pmcd.trace import TraceFlag


@pytest.fixture
def levels() -> Iterator[None]:
    """Afterwards the loggers are as they were."""
    before = {name: logging.getLogger(name).level for names in LOGGERS.values() for name in names}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.interop
def test_the_flags_are_stocks_by_name() -> None:
    listed = stock("pmdbg", "-l").stdout.splitlines()[2:]
    require(listed, "stock's pmdbg (Debian package pcp)")
    assert {line.split()[0] for line in listed} == FLAGS


@pytest.mark.interop
def test_the_flags_are_stocks_by_number() -> None:
    listed = [line.split() for line in stock("pmdbg", "-l", "-o").stdout.splitlines() if line.startswith("DBG_TRACE_")]
    numbers = {words[0].removeprefix("DBG_TRACE_").lower(): words[1] for words in listed}
    assert len(numbers) > 20
    assert {name: flags_of(number) for name, number in numbers.items()} == {name: {name} for name in numbers}


@pytest.mark.parametrize(
    ("text", "flags"),
    [("pdu,appl0", {"pdu", "appl0"}), ("APPL0,", {"appl0"}), ("3", {"pdu", "fetch"}), ("0", set()), ("", set())],
)
def test_flags_are_named_or_numbered(text: str, flags: set[str]) -> None:
    assert flags_of(text) == flags


@pytest.mark.parametrize("text", ["all", "-1", "pdu,all"])
def test_all_flags_can_be_had_at_once(text: str) -> None:
    assert flags_of(text) == FLAGS


@pytest.mark.parametrize("text", ["nonsense", "appl0,nonsense", " appl0", "-appl0", "none", "0x800", str(1 << 40)])
def test_what_stock_does_not_know_is_an_error(text: str) -> None:
    with pytest.raises(BadArgument, match="unrecognized debug options specification"):
        flags_of(text)


def test_a_flag_has_its_part_say_more_and_no_other(levels: None) -> None:
    switch_on({"access"})
    assert logging.getLogger("pypcp.pmcd.gate").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("pypcp.pmcd.sources").isEnabledFor(logging.DEBUG)


def test_the_log_says_which_flags_have_no_effect(levels: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    switch_on({"access", "pdu", "lock", "interp"})
    assert [record.getMessage() for record in caplog.records] == ["of no effect here, as debug flags: interp, lock"]


def test_the_flag_of_pdus_is_a_trace_at_once() -> None:
    assert switch_on({"pdu"}) == TraceFlag.PDUS | TraceFlag.AT_ONCE


def test_what_is_traced_is_a_sum_of_bits() -> None:
    assert TraceFlag.of("259") == TraceFlag.CONNECTIONS | TraceFlag.PDUS | TraceFlag.AT_ONCE
    assert TraceFlag.of("0") == TraceFlag.NOTHING


@pytest.mark.parametrize("text", ["512", "4", "x", "-1", "3x", ""])
def test_bits_that_mean_no_trace_are_an_error(text: str) -> None:
    with pytest.raises(BadArgument, match="-T"):
        TraceFlag.of(text)
