"""Files of which only the numbers change: what was worked out for one text must hold for the next, or be given up."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linux_trees import DATA, TREES
from pypcp.agents.linux.buddyinfo import Buddyinfo, parse_buddyinfo
from pypcp.agents.linux.interrupts import Interrupts, parse_interrupts
from pypcp.agents.linux.zoneinfo import Zoneinfo, parse_zoneinfo


def buddies(now: Buddyinfo) -> object:
    return now.form.names, now.pieces, now.kilobytes()


def interrupts(now: Interrupts) -> object:
    return now.form.pairs(), now.form.texts, now.singles, now.by_interrupt(), now.by_cpu(), now.each()


def zones(now: Zoneinfo) -> object:
    return now.form.names, now.form.protection, {key: now.column(key) for key in now.form.columns}


FILES = {
    "proc/buddyinfo": (parse_buddyinfo, buddies),
    "proc/interrupts": (parse_interrupts, interrupts),
    "proc/softirqs": (parse_interrupts, interrupts),
    "proc/zoneinfo": (parse_zoneinfo, zones),
}
TEXTS = [(file, DATA / tree / file) for file in FILES for tree in TREES if (DATA / tree / file).exists()]


def with_another_word(text: bytes, chance: random.Random) -> bytes:
    """The text with one of its numbers, or a part of one of its words, replaced."""
    words = list(re.finditer(rb"\S+", text))
    word = chance.choice(words)
    other = chance.choice([b"0", b"7", b"4096", word.group() + b"0", b"x", chance.choice(words).group(), b""])
    return text[: word.start()] + other + text[word.end() :]


def outcome(parse: Callable[..., Any], told: Callable[[Any], object], *given: object) -> object:
    try:
        return told(parse(*given))
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be the same
        return type(error)


@pytest.mark.parametrize(("file", "path"), TEXTS)
def test_a_text_is_told_alike_after_any_other(file: str, path: Path) -> None:
    parse, told = FILES[file]
    chance = random.Random(7)
    text = path.read_bytes()
    last = parse(text)
    for _ in range(400):
        changed = with_another_word(text, chance)
        assert outcome(parse, told, changed, last) == outcome(parse, told, changed)


@pytest.mark.parametrize(("file", "path"), TEXTS)
def test_other_numbers_leave_the_form_as_it_is(file: str, path: Path) -> None:
    parse, told = FILES[file]
    text = path.read_bytes()
    first = parse(text)
    others = re.sub(rb"( [1-9]\d*)(?=\s)", rb"\g<1>1", text)
    others = re.sub(rb"(present +\d+)1\n", rb"\1\n", others)  # memory that came or went makes another form
    again = parse(others, first)
    assert again.form is first.form
    assert told(again) == told(parse(others)) != told(first)
