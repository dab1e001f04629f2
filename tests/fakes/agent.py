"""An agent that misbehaves as told: ``agent.py DOMAIN BEHAVIOUR [SECONDS]``, a pipe agent with one metric D.0.0.

It is written on the codec alone, not on the SDK: the SDK would not let it do most of this.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL, InDom, Pmid
from pypcp.model.profile import EVERYTHING
from pypcp.model.units import NONE
from pypcp.model.values import Semantics, ValueSet, ValueType
from pypcp.wire.desc import DescReply, DescRequest
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.framing import FrameReader
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.instance import InstanceRequest
from pypcp.wire.label import LabelRequest
from pypcp.wire.pdu import Pdu, decode, encode
from pypcp.wire.pmns import PmnsChild, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.text import TextRequest

NOT_READY, READY = -13394, -13393
UNKNOWN_PMID = -12358


class FakeAgent:
    def __init__(self, domain: int, behaviour: str, seconds: float) -> None:
        self.domain, self.behaviour, self.seconds = domain, behaviour, seconds
        self.fetches = 0
        self.profile = EVERYTHING
        self.frames = FrameReader()

    def run(self) -> None:
        if self.behaviour == "silent":
            time.sleep(60)
        if self.behaviour == "die_at_start":
            os._exit(7)
        version = 1 if self.behaviour == "claims_version_1" else 2
        self.send(Creds(version, sender=os.getpid(), flags=0x44 if self.behaviour == "curious" else 0))
        if self.behaviour == "die_idle":
            time.sleep(self.seconds)
            os._exit(7)
        while data := os.read(0, 65536):
            for frame in self.frames.feed(data):
                self.answer(decode(frame))

    def send(self, pdu: Pdu) -> None:
        os.write(1, encode(pdu))

    def answer(self, pdu: Pdu) -> None:
        if self.behaviour == "curious":
            with Path("seen").open("a") as seen:
                print(type(pdu).__name__, pdu.sender, getattr(pdu, "value", ""), file=seen, flush=True)
        if isinstance(pdu, Fetch):
            self.fetches += 1
            getattr(self, f"fetch_{self.behaviour}", self.fetch_well)(pdu)
        elif isinstance(pdu, ProfilePdu):
            if self.behaviour == "die_at_profile":
                os._exit(7)
            self.profile = pdu.profile
        elif isinstance(pdu, DescRequest):
            pmid = Pmid(pdu.pmid)
            self.send(DescReply(Desc(pmid, ValueType.U32, PM_INDOM_NULL, Semantics.INSTANT, NONE)))
        elif isinstance(pdu, PmnsTraverse | PmnsChild):
            if self.behaviour == "nameless":
                time.sleep(60)
            self.send(PmnsNames([f"{pdu.name}.one"] if isinstance(pdu, PmnsTraverse) else ["one"]))
        elif isinstance(pdu, TextRequest | LabelRequest | InstanceRequest):
            self.send(Error(UNKNOWN_PMID))

    def result(self, pdu: Fetch, changes: int = 0) -> Result:
        sets = [ValueSet.singular(pmid, self.fetches, ValueType.U32) for pmid in pdu.pmids]
        return Result(changes * 1_000_000_000, sets)

    def fetch_well(self, pdu: Fetch) -> None:
        self.send(self.result(pdu))

    def fetch_echo(self, pdu: Fetch) -> None:
        """Each value tells which metric it is of."""
        time.sleep(self.seconds)
        self.send(Result(0, [ValueSet.singular(pmid, pmid ^ 0x5A5A5A5A, ValueType.U32) for pmid in pdu.pmids]))

    def fetch_profiled(self, pdu: Fetch) -> None:
        """Of instances 1 to 4 those of the profile that came last, with ten times their number."""
        time.sleep(self.seconds)
        wanted = [each for each in (1, 2, 3, 4) if self.profile.includes(InDom.build(self.domain, 1), each)]
        numbers = [10 * each for each in wanted]
        self.send(Result(0, [ValueSet(pmid, wanted, numbers, type=ValueType.U32) for pmid in pdu.pmids]))

    def fetch_late(self, pdu: Fetch) -> None:
        time.sleep(self.seconds)
        self.send(self.result(pdu))

    def fetch_recovering(self, pdu: Fetch) -> None:
        """Late the first three times."""
        if self.fetches <= 3:
            time.sleep(self.seconds)
        self.send(self.result(pdu))

    def fetch_hang(self, pdu: Fetch) -> None:
        os.fork() or time.sleep(60)  # a child that holds the stream open too
        time.sleep(60)

    def fetch_linger(self, pdu: Fetch) -> None:
        """End the stream, but not the process."""
        os.close(0)
        os.close(1)
        time.sleep(60)

    def fetch_garbage(self, pdu: Fetch) -> None:
        os.write(1, b"this is no PDU at all, but long enough")

    def fetch_print(self, pdu: Fetch) -> None:
        os.write(1, b"debug: fetching\n")
        self.send(self.result(pdu))

    def fetch_half(self, pdu: Fetch) -> None:
        os.write(1, encode(self.result(pdu))[:20])
        time.sleep(60)

    def fetch_cut(self, pdu: Fetch) -> None:
        os.write(1, encode(Error(0))[:3] + b"\x0c" + encode(Error(0))[4:12])  # an ERROR without its code

    def fetch_flood(self, pdu: Fetch) -> None:
        os.write(1, encode(self.result(pdu)) * 100)

    def fetch_hiccup(self, pdu: Fetch) -> None:
        if self.fetches == 2:
            time.sleep(self.seconds)
        self.send(self.result(pdu))

    def fetch_die(self, pdu: Fetch) -> None:
        os._exit(7)

    def fetch_die_half(self, pdu: Fetch) -> None:
        os.write(1, encode(self.result(pdu))[:20])
        os._exit(7)

    def fetch_short(self, pdu: Fetch) -> None:
        self.send(Result(0, []))

    def fetch_twice(self, pdu: Fetch) -> None:
        self.send(self.result(pdu))
        self.send(self.result(pdu))

    def fetch_wrong(self, pdu: Fetch) -> None:
        self.send(PmnsNames(["not", "a", "result"]))

    def fetch_unready(self, pdu: Fetch) -> None:
        if self.fetches > 1:
            self.send(self.result(pdu))
            return
        self.send(Error(NOT_READY))
        time.sleep(self.seconds)
        self.send(Error(READY))

    def fetch_changing(self, pdu: Fetch) -> None:
        self.send(self.result(pdu, 8 | 16 if self.fetches == 2 else 0))

    def fetch_overlapping(self, pdu: Fetch) -> None:
        good = encode(Result(0, [ValueSet(pmid, [1, 2], [3, 4], type=ValueType.U64) for pmid in pdu.pmids]))
        os.write(1, good[:48] + good[40:44] + good[48:])  # both values point at one block


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):  # the daemon may be gone
        FakeAgent(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0).run()
