"""`make fuzz`: coverage-guided fuzzing of the decoder and of the daemon.

    python tests/fuzz/run.py [--target decoder|daemon] [--minutes 10] [--keep] [--crashes DIRECTORY]

Starts from the recordings of stock and from the inputs kept in corpus/*.hex. With --keep those that reached something
new are added there, the others dropped. An input that breaks a rule ends the run and is left in --crashes.
"""

import argparse
import subprocess
import sys
import tempfile
from hashlib import sha1
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "src")]

from fuzz import seeds  # noqa: E402
from fuzz.corpus import NAMES, inputs, keep  # noqa: E402

MAX_INPUT = 4096
LIMITS = ("-timeout=20", "-rss_limit_mb=1024", f"-max_len={MAX_INPUT}")


def main() -> int:
    """Fuzz; 0 where nothing was found."""
    given = _parser().parse_args()
    for name in given.target or NAMES:
        print(f"{name}: {given.minutes:g} minutes", flush=True)
        with tempfile.TemporaryDirectory(prefix="pypcp-fuzz-") as directory:
            status = fuzz_one(name, given.minutes, Path(directory), given.crashes)
            if status:
                return status
            if given.keep:
                keep(name, smallest(name, Path(directory)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=NAMES, action="append", help="default: all")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target")
    parser.add_argument("--keep", action="store_true", help="keep what reached something new in the corpus")
    parser.add_argument("--crashes", type=Path, default=Path(), help="where an input is left that breaks a rule")
    return parser


def fuzz_one(name: str, minutes: float, directory: Path, crashes: Path) -> int:
    """Fuzz for so long; new inputs are in ``directory`` / new. The status of atheris."""
    start, new = directory / "start", directory / "new"
    for each in (start, new):
        each.mkdir()
    seeds.write(start)
    for data in inputs(name):
        (start / sha1(data).hexdigest()).write_bytes(data)
    crashes.mkdir(parents=True, exist_ok=True)  # the fuzzer does not start without
    options = (*LIMITS, f"-max_total_time={minutes * 60:.0f}", f"-artifact_prefix={crashes}/{name}-")
    return _atheris(name, directory, new, start, *options)


def smallest(name: str, directory: Path) -> list[bytes]:
    """The inputs that are needed to reach all that was reached."""
    least = directory / "least"
    least.mkdir()
    _atheris(name, directory, least, directory / "new", directory / "start", *LIMITS, "-merge=1")
    return [path.read_bytes() for path in least.iterdir()]


def _atheris(name: str, directory: Path, *arguments: object) -> int:
    # libFuzzer starts itself again to merge; what it starts must be one executable.
    itself = directory / "itself"
    itself.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "atheris_target.py"} {name} {itself} "$@"\n')
    itself.chmod(0o700)
    return subprocess.run([str(itself), *map(str, arguments)]).returncode


if __name__ == "__main__":
    sys.exit(main())
