"""A file that is missing, broken off or nonsense costs the metrics that come from it, and no others."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from linux_trees import DATA, Answer, everything
from pypcp.agents.linux import linux_agent
from pypcp.errors import TryAgain

TREE = DATA / "linux-4.14"
FILES = sorted(str(path.relative_to(TREE)) for path in TREE.rglob("proc/**/*") if path.is_file())

ROWS = [file for file in FILES if not file.startswith("proc/sys/")]
"""Files of more than a word."""


@pytest.fixture(scope="module")
def whole() -> dict[str, Answer]:
    return everything(linux_agent(TREE))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What was logged. What it keeps of the errors keeps the agents alive, and their files open: it goes at the end."""
    yield caplog
    caplog.get_records("call").clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TREE, tmp_path / "root", symlinks=True))


def _changed(root: Path, whole: dict[str, Answer]) -> dict[str, Answer]:
    return {name: answer for name, answer in everything(linux_agent(root)).items() if answer != whole[name]}


def _says_nothing(answer: Answer) -> bool:
    """Is this what a missing file makes of a metric, too?"""
    return not answer or (isinstance(answer, dict) and not any(answer.values()))


@pytest.mark.parametrize("file", FILES)
def test_nonsense_costs_only_what_the_file_tells(
    file: str, root: Path, whole: dict[str, Answer], log: pytest.LogCaptureFixture
) -> None:
    (root / file).unlink()
    told = _changed(root, whole)
    assert told
    assert not any(isinstance(answer, type) for answer in told.values())
    (root / file).write_bytes(b"\xff\x00 nonsense: [\n" * 7)
    broken = _changed(root, whole)
    assert broken
    assert all(name in told or _says_nothing(whole[name]) for name in broken)


@pytest.mark.parametrize("file", ROWS)
def test_a_file_that_breaks_off_is_an_error_and_not_other_values(
    file: str, root: Path, whole: dict[str, Answer], log: pytest.LogCaptureFixture
) -> None:
    (root / file).write_bytes((TREE / file).read_bytes()[:-2])
    broken = _changed(root, whole)
    assert broken
    assert all(isinstance(answer, type) for answer in broken.values())
    assert log.messages


def test_a_file_that_is_whole_again_is_told_again(
    root: Path, whole: dict[str, Answer], log: pytest.LogCaptureFixture
) -> None:
    agent = linux_agent(root)
    (root / "proc/loadavg").write_text("nonsense\n")
    assert everything(agent)["kernel.all.load"] is TryAgain
    shutil.copy(TREE / "proc/loadavg", root / "proc/loadavg")
    assert everything(agent) == whole
