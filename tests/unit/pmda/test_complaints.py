"""What the log hears of mistakes that go on being made."""

from collections.abc import Callable

import pytest

from clock import Clock
from pypcp.pmda import complaints
from pypcp.pmda.complaints import AGAIN_S, Complaints


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(complaints, "time", clock)
    return clock


def one_mistake() -> None:
    raise ValueError("one")


def another_mistake() -> None:
    raise ValueError("another")


def made(mistake: Callable[[], None]) -> Exception:
    with pytest.raises(ValueError, match=r"one|another") as caught:
        mistake()
    return caught.value


def test_a_mistake_is_told_once_in_a_while_and_with_how_often_it_was_made(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Complaints()
    for _ in range(4):
        heard.failed("labels", made(one_mistake))
        clock.now += AGAIN_S / 4
    assert [record.message for record in caplog.records] == ["labels: the agent's code failed: one"]
    assert "one_mistake" in caplog.text
    heard.failed("labels", made(one_mistake))
    assert caplog.records[1].message == "labels: the agent's code failed (3 times more since it was told last): one"
    heard.failed("labels", made(one_mistake))
    assert len(caplog.records) == 2


def test_another_mistake_is_told_at_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    heard = Complaints()
    for _ in range(3):
        heard.failed("labels", made(one_mistake))
        heard.failed("labels", made(another_mistake))
        heard.failed("help", made(one_mistake))
    assert [record.message.split(": ")[::2] for record in caplog.records] == [
        ["labels", "one"],
        ["labels", "another"],
        ["help", "one"],
    ]


def test_of_many_mistakes_the_oldest_are_forgotten(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    heard = Complaints()
    for number in range(1000):
        heard.failed(f"metric {number}", made(one_mistake))
    assert len(heard._told) < 100
    assert len(caplog.records) == 1000


def test_two_ways_to_the_same_line_are_two_mistakes(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    heard = Complaints()
    for _ in range(2):
        heard.failed("shop", made(one_mistake))
        heard.failed("shop", made(lambda: one_mistake()))
    assert len(caplog.records) == 2


def test_values_that_are_wrong_are_one_mistake_whatever_they_are(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Complaints()
    for number in range(3):
        heard.wrong("shop.open", f"{number}.5 cannot be a value of type U32", TypeError("no integer"))
    assert [record.message for record in caplog.records] == ["shop.open: 0.5 cannot be a value of type U32: no integer"]
