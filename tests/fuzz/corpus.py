"""The inputs that are kept: one in hex a line, a file for each target, without those that the recordings give."""

from collections.abc import Iterable
from pathlib import Path

from fuzz.seeds import seeds

NAMES = ("decoder", "daemon")
_DIRECTORY = Path(__file__).parent / "corpus"


def inputs(name: str) -> list[bytes]:
    """What is kept for a target."""
    path = _DIRECTORY / f"{name}.hex"
    return [bytes.fromhex(line) for line in path.read_text().split()] if path.exists() else []


def keep(name: str, found: Iterable[bytes]) -> None:
    """Keep these instead."""
    mine = sorted(set(found) - set(seeds()), key=lambda data: (len(data), data))
    _DIRECTORY.mkdir(exist_ok=True)
    (_DIRECTORY / f"{name}.hex").write_text("".join(data.hex() + "\n" for data in mine))
