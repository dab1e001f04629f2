"""Coverage-guided fuzzing, in an environment with atheris: `make fuzz`. Options behind the target are libFuzzer's."""

import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "src")]

with atheris.instrument_imports(include=["pypcp"], enable_loader_override=False):
    from fuzz import targets

from fuzz import seeds  # noqa: E402 - what is not fuzzed is not instrumented

TARGETS = {"decoder": targets.fuzz_decoder, "daemon": targets.fuzz_daemon}


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """A mutation; mostly one that leaves the PDUs whole, or nothing behind the frames would ever be reached."""
    mutated = atheris.Mutate(data, max_size)
    return mutated if seed % 4 == 0 else targets.with_lengths(mutated)[:max_size]


def main() -> None:
    """``run.py decoder|daemon [corpus directory ...] [-option=value ...]``"""
    name, *options = sys.argv[1:]
    kept = HERE / "corpus" / name
    with tempfile.TemporaryDirectory(prefix="pypcp-seeds-") as directory:
        seeds.write(Path(directory))
        mine = [each for each in options if not each.startswith("-")] or [tempfile.mkdtemp(prefix="pypcp-corpus-")]
        settings = [each for each in options if each.startswith("-")]
        atheris.Setup([sys.argv[0], *mine, str(kept), directory, *settings], TARGETS[name], custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
