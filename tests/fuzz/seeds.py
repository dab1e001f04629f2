"""Where fuzzing starts: what real clients and stock's daemon sent each other, from the recordings of the tests."""

from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

from fuzz.collector import DOMAIN
from pypcp.wire.handshake import Creds
from pypcp.wire.pdu import encode
from vectors.captures import load, stream, stream_names

_CREDS = encode(Creds())
_PROFILE = bytes.fromhex("0000001c000070020000000000000000000000000000000000000000")
_RECORDED_DOMAINS = (29, 250, 251, 253)


def seeds() -> Iterator[bytes]:
    """Inputs for the targets: a first byte (see ``targets.pieces``), then what a client sends."""
    for name in stream_names():
        for captured in stream(name):
            yield b"\0" + captured.frame
            if captured.sender == "client":
                yield b"\0" + _CREDS + _PROFILE + ours(captured.frame)
    for case in load("raw-probes")["cases"]:
        sent = [each["hex"] for each in case["pdus"] if each["dir"].startswith("client")]
        if not any(each.endswith("...") for each in sent):
            yield b"\0" + ours(bytes.fromhex("".join(sent)))


def ours(frame: bytes) -> bytes:
    """The same request to the agent that is there, instead of the recorded one."""
    for domain in _RECORDED_DOMAINS:
        frame = frame.replace((domain << 22 >> 16).to_bytes(2, "big"), (DOMAIN << 22 >> 16).to_bytes(2, "big"))
    return frame


def write(directory: Path) -> None:
    """One file for each."""
    for seed in set(seeds()):
        if len(seed) < 4096:
            (directory / sha1(seed).hexdigest()).write_bytes(seed)
