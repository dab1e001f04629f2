"""/proc/fs/jbd2: what the journals of ext4 and ocfs2 do. Domain 122, names and numbers as stock's pmdajbd2(1)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from pypcp.model.units import COUNT, MSEC, USEC
from pypcp.model.values import Semantics, ValueType
from pypcp.pmda import Agent

DOMAIN: Final = 122
U32: Final = ValueType.U32
U64: Final = ValueType.U64

HEADER: Final = re.compile(rb"(\d+) transactions?(?: \((\d+) requested\))?, each up to (\d+) blocks")
"""The file's first line. Older kernels say nothing of requests."""

AVERAGE: Final = re.compile(rb"(\d+) ?(\D+)")
"""A line of those below "average:", such as ``  3ms waiting for transaction``."""

AVERAGES: Final = (
    (13, 4, "time.waiting", b"ms waiting for transaction", U32, MSEC, "time that a transaction waited to begin"),
    (14, 5, "time.request_delay", b"ms request delay", U32, MSEC, "time from the request of a commit to its beginning"),
    (15, 6, "time.running", b"ms running transaction", U32, MSEC, "time that a transaction took operations up"),
    (16, 7, "time.being_locked", b"ms transaction was being locked", U32, MSEC, "time until all operations had ended"),
    (
        17,
        8,
        "time.flushing_ordered_mode_data",
        b"ms flushing data (in ordered mode)",
        U32,
        MSEC,
        "time to write the data that must be on disk before the journal",
    ),
    (18, 9, "time.logging", b"ms logging transaction", U32, MSEC, "time to write a transaction to the journal"),
    (19, None, "time.committing", b"us average transaction commit time", U64, USEC, "time that a commit took"),
    (20, 10, "blocks", b"blocks per transaction", U64, COUNT, "blocks that a transaction changed"),
    (21, 11, "blocks_logged", b"logged blocks per transaction", U64, COUNT, "blocks that a transaction wrote"),
    (22, 12, "handles", b"handles per transaction", U64, COUNT, "operations that a transaction took up"),
)
"""Item of the average, item of the total, name, the kernel's words, the average's type, units, what it is."""

REQUESTED: Final = b"ms request delay"
"""The average that is not one of all transactions, but of those that were requested."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal's file says; ``averages`` by the kernel's words. None: this kernel does not tell."""

    transactions: int
    requested: int | None
    max_blocks: int
    averages: dict[bytes, int] = field(default_factory=dict)

    def total(self, words: bytes) -> int | None:
        """What an average was worked out from, but for what the kernel rounded off."""
        average = self.averages.get(words)
        times = self.requested if words == REQUESTED else self.transactions
        return None if average is None or times is None else average * times


Journals = dict[str, Journal]
"""The journals by device, as ``sda1-8``: those with a transaction, as stock counts them."""

Column = Callable[[Journals], list[int | None] | None]


def parse_info(text: bytes) -> Journal:
    """``ValueError`` for a text that breaks off or is another."""
    first, *lines = text.split(b"\n")
    header = HEADER.fullmatch(first)
    if header is None or lines.pop() != b"":
        raise ValueError(f"{text[:80]!r} does not tell of a journal")
    transactions, requested, max_blocks = header.groups()
    found = [AVERAGE.fullmatch(line.strip()) for line in lines]
    averages = {words: int(number) for number, words in (each.groups() for each in found if each)}
    return Journal(int(transactions), None if requested is None else int(requested), int(max_blocks), averages)


def read_journals(directory: Path) -> Journals:
    """Those that there are now; ``OSError``, ``ValueError``: one cannot be read."""
    try:
        devices = sorted(os.listdir(directory))
    except FileNotFoundError:  # a kernel without such file systems
        return {}
    journals = {}
    for device in devices:
        try:
            # Opened each time: the counts are those of the moment in which the file was opened.
            with open(f"{directory}/{device}/info", "rb", buffering=0) as file:
                journal = parse_info(file.read())
        except FileNotFoundError:  # unmounted just now
            continue
        if journal.averages:
            journals[device] = journal
    return journals


def jbd2_agent(root: Path = Path("/"), state: Path | None = None) -> Agent:
    """The agent for the system whose /proc is below ``root``; ``state``: where the ids of journals are remembered."""
    agent = Agent("jbd2", DOMAIN, help_="The journals of ext4 and ocfs2", state=state)
    journals = agent.indom(0, persistent=True, members=list, help_="Journals, by their devices")
    cluster = agent.cluster(0, partial(read_journals, root / "proc/fs/jbd2"))
    number = "Journals that have committed a transaction"
    cluster.metric("jbd2.njournals", 0, U32, len, units=COUNT, help_=number)
    of_each = partial(cluster.metric, indom=journals)
    counter = partial(of_each, type_=U64, sem=Semantics.COUNTER)
    committed = "Transactions committed"
    counter("jbd2.transaction.count", 1, read=_each(lambda it: it.transactions), units=COUNT, help_=committed)
    asked = "Transactions whose commit was requested"
    counter("jbd2.transaction.requested", 2, read=_each(lambda it: it.requested), units=COUNT, help_=asked)
    largest = "Blocks that a transaction may have at most"
    of_each("jbd2.transaction.max_blocks", 3, U32, _each(lambda it: it.max_blocks), help_=largest)
    for item, total_item, name, words, type_, units, what in AVERAGES:
        average = f"Average {what}"
        of_each(f"jbd2.transaction.average.{name}", item, type_, _average(words), units=units, help_=average)
        if total_item is not None:
            total = f"Total {what}\nThe kernel tells averages in whole numbers only: this is one, multiplied again."
            counter(f"jbd2.transaction.total.{name}", total_item, read=_total(words), units=units, help_=total)
    return agent


def _each(read: Callable[[Journal], int | None]) -> Column:
    return lambda journals: [read(journal) for journal in journals.values()] or None


def _average(words: bytes) -> Column:
    return _each(lambda journal: journal.averages.get(words))


def _total(words: bytes) -> Column:
    return _each(lambda journal: journal.total(words))
