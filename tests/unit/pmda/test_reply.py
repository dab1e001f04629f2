"""A reply laid out in steps, between which others have their turn; and its time."""

from pypcp.errors import NoAgent
from pypcp.pmda.reply import NSEC_PER_SEC, ReplyLayout
from pypcp.pmda.segments import EmptySegment, Fetched
from pypcp.wire.pdu import decode
from pypcp.wire.result import Result

IN_2045_S = 2395800799
"""What stock's pmcd put into a RESULT at that time: 0x8ecd04df."""


def statuses(reply: bytes) -> list[int]:
    result = decode(reply)
    assert isinstance(result, Result)
    return [0 if each.error is None else each.error.code for each in result.value_sets]


def test_a_layout_that_changes_between_two_steps_is_laid_out_again() -> None:
    fetched = Fetched([EmptySegment(1, NoAgent.code)])
    layout = ReplyLayout([1], [[0]], highres=False, max_reply=1000)
    steps = layout.lay_out([fetched])
    next(steps)
    fetched.segments[0], fetched.layout = EmptySegment(1, 0), object()
    for _ in steps:
        pass
    assert statuses(layout.render([fetched], 0)) == [0]


def test_seconds_that_do_not_fit_are_cut_off_as_in_stock() -> None:
    layout = ReplyLayout([1], [[0]], highres=False, max_reply=1000)
    reply = layout.render([Fetched([EmptySegment(1, 0)])], IN_2045_S * NSEC_PER_SEC + 508773000)
    assert reply[12:20].hex() == "8ecd04df0007c365"
