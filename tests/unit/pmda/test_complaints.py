"""What the log hears of mistakes that go on being made."""

from collections.abc import Callable

import pytest

from pypcp.pmda import mistakes
from pypcp.pmda.mistakes import AGAIN_S, Complaints


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(mistakes, "time", clock)
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
    complaints = Complaints()
    for _ in range(4):
        complaints.tell("labels", made(one_mistake))
        clock.now += AGAIN_S / 4
    assert [record.message for record in caplog.records] == ["labels: the agent's code failed: one"]
    assert "one_mistake" in caplog.text
    complaints.tell("labels", made(one_mistake))
    assert caplog.records[1].message == "labels: the agent's code failed (3 times more since it was told last): one"
    complaints.tell("labels", made(one_mistake))
    assert len(caplog.records) == 2


def test_another_mistake_is_told_at_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for _ in range(3):
        complaints.tell("labels", made(one_mistake))
        complaints.tell("labels", made(another_mistake))
        complaints.tell("help", made(one_mistake))
    assert [record.message.split(": ")[::2] for record in caplog.records] == [
        ["labels", "one"],
        ["labels", "another"],
        ["help", "one"],
    ]


def test_of_many_mistakes_the_oldest_are_forgotten(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for number in range(1000):
        complaints.tell(f"metric {number}", made(one_mistake))
    assert len(complaints._told) < 100
    assert len(caplog.records) == 1000
