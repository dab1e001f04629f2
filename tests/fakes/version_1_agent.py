"""An agent of PCP 1, as the reference describes it: ``version_1_agent.py DOMAIN BEHAVIOUR [PORT]``.

There is none left to be had. What is of version 1 here is put together by hand, so that our codec does not only agree
with itself. Each PDU that it is sent is written to the file ``seen``: its type, and its body in hexadecimal.
"""

import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

ERROR, RESULT, PROFILE, FETCH, DESC_REQ, DESC = range(0x7000, 0x7006)
INSTANCE_REQ, INSTANCE, TEXT_REQ, TEXT = range(0x7006, 0x700A)
CREDS = 0x700C
I32, U32, I64, U64, FLOAT, DOUBLE, STRING, AGGREGATE = range(8)

IPC, PMID, TEXT_MISSING, PERMISSION, READY, NOT_READY = -1021, -1013, -1004, -1042, -2048, -2049
ENOENT = -2

PMIDS_AT = 28
NO_INDOM = 0xFFFFFFFF
SINGULAR = -1
IN_PLACE, BLOCKS = 0, 1
A_TIME = struct.pack(">ii", 999_999_999, 500_000)
"""Of a result; its seconds have the bits set with which agents of today say that labels and names have changed."""


def block(data: bytes) -> bytes:
    """A value block of version 1 does not say its type."""
    return struct.pack(">I", 4 + len(data)) + data + b"~" * (-len(data) % 4)


WORD = struct.Struct(">i")
REAL = struct.Struct(">f")
Values = int | list[tuple[int, bytes]]

VALUES: dict[int, tuple[int, int, Values]] = {
    0: (FLOAT, IN_PLACE, [(SINGULAR, REAL.pack(1.5))]),
    1: (I32, IN_PLACE, [(SINGULAR, WORD.pack(-7))]),
    2: (STRING, BLOCKS, [(SINGULAR, b"of old\0")]),
    3: (U64, BLOCKS, [(SINGULAR, struct.pack(">Q", 2**63 + 1))]),
    4: (DOUBLE, BLOCKS, [(SINGULAR, struct.pack(">d", -0.1))]),
    5: (U32, IN_PLACE, IPC),
    6: (U32, IN_PLACE, ENOENT),
    7: (FLOAT, IN_PLACE, [(1, REAL.pack(0.5)), (2, REAL.pack(-2.25))]),
    8: (U32, IN_PLACE, []),
    9: (AGGREGATE, BLOCKS, [(SINGULAR, b"\x00\x01\x02")]),
    10: (DOUBLE, IN_PLACE, [(SINGULAR, REAL.pack(1.0))]),  # which no double can be
    11: (I64, BLOCKS, [(SINGULAR, struct.pack(">q", -(2**40)))]),
}
"""Type, format and values (or error) of the metrics in cluster 0. A word of a value in place is its four bytes."""


class Version1Agent:
    """Answers requests; ``send`` takes what goes out."""

    def __init__(self, domain: int, behaviour: str, send: Callable[[bytes], object]) -> None:
        self.domain, self.behaviour, self.send = domain, behaviour, send
        self.fetches = 0
        self.values = dict(VALUES)

    def pdu(self, type_: int, body: bytes) -> None:
        self.send(struct.pack(">IIi", 12 + len(body), type_, os.getpid()) + body)

    def error(self, code: int) -> None:
        self.pdu(ERROR, WORD.pack(code))

    def begin(self) -> None:
        if self.behaviour == "credentials":
            self.pdu(CREDS, struct.pack(">iI", 1, 0x01020000))
        elif self.behaviour == "becomes_ready":
            self.error(READY)

    def answer(self, type_: int, pdu: bytes) -> None:
        with Path("seen").open("a") as seen:
            print(f"{type_:#x}", pdu[12:].hex(), file=seen, flush=True)
        handlers = {FETCH: self.fetch, DESC_REQ: self.describe, INSTANCE_REQ: self.instances, RESULT: self.store}
        if type_ in handlers:
            handlers[type_](pdu)
        elif type_ == TEXT_REQ:
            self.error(TEXT_MISSING)

    # Values

    def fetch(self, pdu: bytes) -> None:
        self.fetches += 1
        pmids = struct.unpack(f">{(len(pdu) - PMIDS_AT) // 4}I", pdu[PMIDS_AT:])
        getattr(self, f"fetch_{self.behaviour}", self.fetch_well)(pmids)

    def fetch_well(self, pmids: tuple[int, ...]) -> None:
        self.pdu(RESULT, self.result(pmids))

    def result(self, pmids: tuple[int, ...]) -> bytes:
        sets = [self.values.get(pmid & 0x3FF, (U32, IN_PLACE, PMID)) for pmid in pmids]
        words = 6 + sum([2 + bool(each) + 2 * len(each) if isinstance(each, list) else 2 for _, _, each in sets])
        heads, blocks = bytearray(), bytearray()
        for pmid, (_, format_, values) in zip(pmids, sets, strict=True):
            if isinstance(values, int):
                heads += struct.pack(">Ii", pmid, values)
                continue
            heads += struct.pack(">Ii", pmid, len(values)) + (WORD.pack(format_) if values else b"")
            for instance, data in values:
                if format_ == IN_PLACE:
                    heads += WORD.pack(instance) + data
                else:
                    heads += struct.pack(">iI", instance, words + len(blocks) // 4)
                    blocks += block(data)
        return A_TIME + WORD.pack(len(pmids)) + heads + blocks

    def fetch_refuse(self, pmids: tuple[int, ...]) -> None:
        self.error(PERMISSION)

    def fetch_ipc(self, pmids: tuple[int, ...]) -> None:
        self.error(IPC)

    def fetch_unready(self, pmids: tuple[int, ...]) -> None:
        if self.fetches > 1:
            self.fetch_well(pmids)
        else:
            self.error(NOT_READY)
            self.error(READY)

    def fetch_die(self, pmids: tuple[int, ...]) -> None:
        os._exit(7)

    def fetch_hang(self, pmids: tuple[int, ...]) -> None:
        time.sleep(60)

    def fetch_short(self, pmids: tuple[int, ...]) -> None:
        self.pdu(RESULT, self.result(pmids[:-1]))

    def fetch_long(self, pmids: tuple[int, ...]) -> None:
        self.pdu(RESULT, self.result((*pmids, pmids[0])))

    def fetch_cut(self, pmids: tuple[int, ...]) -> None:
        self.pdu(RESULT, self.result(pmids)[:-4])

    def fetch_half_a_double(self, pmids: tuple[int, ...]) -> None:
        self.values[4] = (DOUBLE, BLOCKS, [(SINGULAR, bytes(4))])
        self.fetch_well(pmids)

    def fetch_garbage(self, pmids: tuple[int, ...]) -> None:
        self.send(b"this is no PDU at all, but long enough")

    def fetch_impossible_code(self, pmids: tuple[int, ...]) -> None:
        self.error(-(2**31))

    def fetch_much(self, pmids: tuple[int, ...]) -> None:
        self.values[0] = (FLOAT, IN_PLACE, [(number, REAL.pack(number)) for number in range(40_000)])
        self.fetch_well(pmids)

    # The rest

    def describe(self, pdu: bytes) -> None:
        (pmid,) = struct.unpack(">I", pdu[12:16])
        if self.behaviour == "bad_descriptor":
            self.pdu(DESC, b"1234")
        elif pmid & 0x3FF in self.values:
            indom = self.domain << 22 if pmid & 0x3FF == 7 else NO_INDOM
            self.pdu(DESC, struct.pack(">IiIiI", pmid, self.values[pmid & 0x3FF][0], indom, 3, 0))
        else:
            self.error(PMID)

    def instances(self, pdu: bytes) -> None:
        (indom,) = struct.unpack(">I", pdu[12:16])
        names = ((1, b"one"), (2, b"two"))
        body = b"".join([struct.pack(">ii", each, len(name)) + name + b"~" for each, name in names])
        self.pdu(INSTANCE, struct.pack(">Ii", indom, len(names)) + body)

    def store(self, pdu: bytes) -> None:
        """One value set with one value, kept as it came."""
        pmid, count = struct.unpack(">Ii", pdu[24:32])
        type_, format_, _ = self.values[pmid & 0x3FF]
        if pmid & 0x3FF == 1:
            self.error(PERMISSION)
            return
        assert (count, WORD.unpack(pdu[32:36])[0]) == (1, format_), pdu.hex()
        instance, word = struct.unpack(">iI", pdu[36:44])
        data = pdu[40:44]
        if format_ != IN_PLACE:
            (head,) = struct.unpack(">I", pdu[4 * word : 4 * word + 4])
            data = pdu[4 * word + 4 : 4 * word + head]  # a type in the head would make this far too long
        self.values[pmid & 0x3FF] = (type_, format_, [(instance, data)])
        self.error(0)


def run(agent: Version1Agent, read: Callable[[int], bytes]) -> None:
    if agent.behaviour == "silent":
        time.sleep(60)
    agent.begin()
    waiting = b""
    while data := read(65536):
        waiting += data
        while len(waiting) >= 12 and len(waiting) >= (length := int.from_bytes(waiting[:4], "big")):
            agent.answer(int.from_bytes(waiting[4:8], "big"), waiting[:length])
            waiting = waiting[length:]


def main() -> None:
    domain, behaviour = int(sys.argv[1]), sys.argv[2]
    if len(sys.argv) > 3:
        with socket.create_server(("127.0.0.1", int(sys.argv[3]))) as listener:
            connection, _ = listener.accept()
        with connection:
            run(Version1Agent(domain, behaviour, connection.sendall), connection.recv)
    else:
        run(Version1Agent(domain, behaviour, lambda data: os.write(1, data)), lambda size: os.read(0, size))


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):  # the daemon may be gone
        main()
