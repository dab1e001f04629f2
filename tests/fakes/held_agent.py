"""An agent that answers each request when its test tells it to, and notes what it is sent: ``held_agent.py DOMAIN``.

Its metrics are D.0.0, which counts fetches, and D.0.1, whose instances 1 to 4 are ten times their number. Whatever else
it is asked it answers as well. :class:`Lead` is the test's end.
"""

import os
import sys
from pathlib import Path

from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL, InDom, Pmid
from pypcp.model.labels import LabelSet
from pypcp.model.profile import EVERYTHING, Profile
from pypcp.model.units import NONE
from pypcp.model.values import Semantics, ValueSet, ValueType
from pypcp.wire.attribute import Attribute
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.framing import FrameReader
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import Pdu, StateChange, decode, encode
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.text import TextReply, TextRequest

WANTS_ATTRIBUTES = 0x44
WELL, WITH_CHANGES, BY_HALF, AND_HALF_MORE = b".", b"!", b"/", b"+"
CHANGES = StateChange.LABEL_CHANGE | StateChange.NAMES_CHANGE
INSTANCES = (1, 2, 3, 4)


class Lead:
    """The test's end of a held agent that is started in ``directory``: made before the daemon is, closed after it."""

    def __init__(self, directory: Path, domain: int) -> None:
        self._seen = directory / f"seen{domain}"
        path = directory / f"lead{domain}"
        os.mkfifo(path)
        self._lead = os.open(path, os.O_RDWR)

    def __enter__(self) -> "Lead":
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._lead)

    def let(self, *words: bytes) -> None:
        """Let it answer its next requests, one in each of these ways; one well, if none is named."""
        os.write(self._lead, b"".join(words) or WELL)

    def seen(self, *types: str) -> list[str]:
        """What it was sent (of these ``types``), in order: the type of each PDU, its sender, and a word about it."""
        lines = self._seen.read_text().splitlines() if self._seen.exists() else []
        return [line for line in lines if not types or line.split()[0] in types]


class HeldAgent:
    def __init__(self, domain: int) -> None:
        self.domain = domain
        self.indom = InDom.build(domain, 1)
        self.profile: Profile = EVERYTHING
        self.fetches = 0
        self.lead = os.open(f"lead{domain}", os.O_RDWR)
        self.seen = os.open(f"seen{domain}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def run(self) -> None:
        self.send(Creds(2, sender=os.getpid(), flags=WANTS_ATTRIBUTES))
        frames = FrameReader()
        while data := os.read(0, 65536):
            for frame in frames.feed(data):
                self.take(decode(frame))

    def send(self, pdu: Pdu) -> None:
        os.write(1, encode(pdu))

    def take(self, pdu: Pdu) -> None:
        os.write(self.seen, f"{type(pdu).__name__} {pdu.sender} {self.word_about(pdu)}".strip().encode() + b"\n")
        if isinstance(pdu, ProfilePdu):
            self.profile = pdu.profile
        elif not isinstance(pdu, Attribute | Error | Creds):
            self.answer(pdu, os.read(self.lead, 1))

    def word_about(self, pdu: Pdu) -> str:
        if isinstance(pdu, Attribute):
            return str(int(pdu.key))
        if isinstance(pdu, ProfilePdu):
            return ",".join(map(str, self.wanted(pdu.profile)))
        return ""

    def wanted(self, profile: Profile) -> list[int]:
        return [instance for instance in INSTANCES if profile.includes(self.indom, instance)]

    def answer(self, pdu: Pdu, word: bytes) -> None:
        self.fetches += isinstance(pdu, Fetch)
        reply = encode(self.reply_to(pdu, CHANGES if word == WITH_CHANGES else 0))
        half = reply[: len(reply) // 2]
        os.write(1, half if word == BY_HALF else reply + half if word == AND_HALF_MORE else reply)

    def reply_to(self, pdu: Pdu, changes: int) -> Pdu:
        match pdu:
            case Fetch():
                return Result(changes * 1_000_000_000, [self.values_of(pmid) for pmid in pdu.pmids])
            case Result():
                return Error(0)
            case DescRequest():
                return DescReply(Desc(Pmid(pdu.pmid), ValueType.U32, PM_INDOM_NULL, Semantics.INSTANT, NONE))
            case InstanceRequest():
                return InstanceReply(pdu.indom, list(INSTANCES), [f"number {each}" for each in INSTANCES])
            case TextRequest():
                return TextReply(pdu.ident, "a text")
            case LabelRequest():
                return LabelReply(pdu.ident, pdu.type, [LabelSet(-1)])
            case PmnsIds():
                return PmnsNames([f"fake{self.domain}.more.one"])
            case PmnsChild():
                return PmnsNames(["one"], [0])
            case PmnsTraverse():
                return PmnsNames([f"{pdu.name}.one"])
            case PmnsNames():
                return PmnsIds([Pmid.build(self.domain, 1, 1)], 1)
        raise AssertionError(pdu)

    def values_of(self, pmid: int) -> ValueSet:
        if Pmid(pmid).item == 0:
            return ValueSet.singular(pmid, self.fetches, ValueType.U32)
        wanted = self.wanted(self.profile)
        return ValueSet(pmid, wanted, [10 * each for each in wanted], type=ValueType.U32)


if __name__ == "__main__":
    HeldAgent(int(sys.argv[1])).run()
