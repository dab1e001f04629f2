"""The recorded streams of stock PCP, as the tests read them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Captured:
    """One PDU of a capture."""

    capture: str
    seq: int
    sender: str
    receiver: str
    frame: bytes
    note: str

    def __str__(self) -> str:
        return f"{self.capture}#{self.seq}"


def load(name: str) -> dict[str, Any]:
    """A whole capture file."""
    content: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return content


def stream_names() -> list[str]:
    """The captures that are streams of PDUs."""
    return sorted(path.stem for path in DATA.glob("*.json") if path.stem != "raw-probes")


def stream(name: str) -> list[Captured]:
    """The PDUs of a stream; connection events and what is no PDU left out."""
    found = []
    for entry in load(name)["pdus"]:
        if entry.get("type"):
            sender, _, receiver = entry["dir"].partition("->")
            found.append(
                Captured(name, entry["seq"], sender, receiver, bytes.fromhex(entry["hex"]), entry.get("note", ""))
            )
    return found


def pdu(name: str, seq: int) -> bytes:
    """One PDU of a stream, by its number."""
    return next(captured.frame for captured in stream(name) if captured.seq == seq)
