"""One target under atheris: ``atheris_target.py decoder|daemon ITSELF [DIRECTORY|INPUT ...] [-option=value ...]``.

`run.py` calls this, by an executable (ITSELF) that libFuzzer can start again. By hand it is good for one input:
``atheris_target.py daemon - crash-...``
"""

import sys
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "src")]

with atheris.instrument_imports(include=["pypcp"], enable_loader_override=False):
    from fuzz import targets


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """A mutation; mostly one that leaves the PDUs whole, or nothing behind the frames would ever be reached."""
    mutated = atheris.Mutate(data, max_size)
    return mutated if seed % 4 == 0 else targets.with_lengths(mutated)[:max_size]


if __name__ == "__main__":
    name, *command = sys.argv[1:]
    atheris.Setup(command, targets.TARGETS[name], custom_mutator=mutate)
    atheris.Fuzz()
