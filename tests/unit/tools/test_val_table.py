"""The columns of the val tool, and the rates in them."""

import pytest

from pypcp.model.desc import Desc
from pypcp.model.ids import InDom, Pmid
from pypcp.model.units import BYTE, MSEC
from pypcp.model.values import Semantics, ValueType
from pypcp.tools.intervals import parse_interval
from pypcp.tools.val_table import Rates, Table, number_text

PMID, INDOM = Pmid.build(1, 2, 3), InDom.build(1, 0)
SECOND = 10**9


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "     0.0   "),
        (0.05, "  5.000E-02"),
        (0.1, "     0.1000"),
        (0.9999, "     0.9999"),
        (0.99991, "     1.000 "),
        (9.9991, "    10.00  "),
        (99.991, "   100.0   "),
        (999.95, "  1000.    "),
        (9999.0, "  9999.    "),
        (9999.4, "  9.999E+03"),
        (-5.0, " -5.000E+00"),
        (float("inf"), "        INF"),
    ],
)
def test_a_number_keeps_its_point_in_one_column(number: float, text: str) -> None:
    assert number_text(number, 11) == text


def counter(units: object = BYTE) -> Desc:
    return Desc(PMID, ValueType.U32, INDOM, Semantics.COUNTER, units)  # type: ignore[arg-type]


def test_a_counter_becomes_a_rate_a_second_once_there_are_two_samples() -> None:
    rates = Rates(counter())
    assert rates.convert(0, {1: 100, 2: 7}) is None
    assert rates.convert(2 * SECOND, {1: 300, 3: 9}) == {1: 100.0}


def test_a_counter_of_time_becomes_a_share_of_time() -> None:
    rates = Rates(counter(MSEC))
    rates.convert(0, {1: 0})
    assert rates.of_time
    assert rates.convert(2 * SECOND, {1: 500}) == {1: 0.25}


def test_a_counter_that_ran_backwards_has_no_rate() -> None:
    rates = Rates(counter())
    rates.convert(0, {1: 5})
    assert rates.convert(SECOND, {1: 4}) == {1: None}


def table(**options: object) -> Table:
    defaults: dict[str, object] = {"raw": False, "width": None, "precision": None}
    made = Table(counter(), **(defaults | options))  # type: ignore[arg-type]
    made.set_columns({1: "one", 2: "two", 3: "three"})
    return made


def test_what_is_gone_is_a_question_mark_and_what_ran_backwards_an_exclamation_mark() -> None:
    assert table().row({1: 2.0, 2: None}) == "     2.000            !           ? "


def test_names_stand_where_the_points_of_rates_are() -> None:
    assert table().heading() == "     one         two       three    "
    assert table(raw=True).heading() == "        one         two       three "


def test_a_heading_that_must_cut_a_name_tells_all_names_before() -> None:
    narrow = table(width=4)
    assert narrow.heading() == " one  two thre "
    assert list(narrow.long_names()) == [
        f"full label for instance[{n}]: {name}" for n, name in enumerate(("one", "two", "three"))
    ]
    assert list(table().long_names()) == []


def test_columns_follow_the_instances() -> None:
    shown = table()
    assert shown.unknown({1: 0, 9: 0}) == [9]
    assert shown.missing({1: 0, 2: 0})
    assert not shown.set_columns({1: "one", 2: "two", 3: "three"})
    assert shown.set_columns({1: "one"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2),
        ("0.5", 0.5),
        ("2 sec", 2),
        ("1.5min", 90),
        ("1h 30m", 5400),
        ("1day", 86400),
        ("2msec", 0.002),
        ("1e-1", 0.1),
    ],
)
def test_intervals_are_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_interval(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "x", "3x", "-1", "0", "1 2 parsec", "sec", "1e999"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="interval"):
        parse_interval(text)
