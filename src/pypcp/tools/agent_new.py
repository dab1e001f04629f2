"""``pypcp agent new``: a new agent that works, and its test."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pypcp.model.ids import MAX_DOMAIN

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_DEFAULT_DOMAIN: Final = 500
"""In the middle of what nobody ships agents for."""

_AGENT: Final = '''"""What {name} is about, in a sentence."""

import os
import shutil

from pypcp.pmda import Agent, Counter

agent = Agent("{name}", {domain}, help_="What {name} is about, in a sentence")

filesystems = agent.indom(0, help_="File systems\\nThe places where they are mounted.", members=list, persistent=True)


@agent.metric(item=0, units="sec")
def uptime() -> Counter[float]:
    """Time since this host was started

    Everything after the first line of a docstring is the long help text."""
    with open("/proc/uptime") as file:
        return float(file.read().split()[0])


@agent.source(cluster=1)
def usage() -> dict[str, tuple[int, int, int]]:
    """Read once for each fetch; its metrics take their values from what it returns."""
    places = ["/", os.path.expanduser("~")]
    return {{place: shutil.disk_usage(place) for place in places}}


@usage.metric("{name}.disk.used", item=0, indom=filesystems, units="byte")
def used(now: dict[str, tuple[int, int, int]]) -> dict[str, int]:
    """Space in use"""
    return {{place: used for place, (_, used, _) in now.items()}}


@usage.metric("{name}.disk.free", item=1, indom=filesystems, units="byte")
def free(now: dict[str, tuple[int, int, int]]) -> dict[str, int]:
    """Space that is left"""
    return {{place: free for place, (_, _, free) in now.items()}}
'''

_TEST: Final = '''"""What {name} promises."""

from pathlib import Path

import pytest

from pypcp.pmda.review import review
from pypcp.pmda.testing import AgentTester

AGENT = Path(__file__).with_name("{name}.py")


@pytest.fixture
def {name}(tmp_path):
    with AgentTester(AGENT, state=tmp_path) as tester:
        yield tester


def test_the_uptime_never_goes_back({name}):
    assert {name}.fetch("{name}.uptime") <= {name}.fetch("{name}.uptime")
    {name}.assert_metric("{name}.uptime", units="sec")


def test_the_root_file_system_has_space_in_use({name}):
    assert {name}.fetch("{name}.disk.used", "/")["/"] > 0


def test_a_reviewer_finds_no_mistake({name}):
    assert [finding for finding in review({name}.agent) if finding.mistake] == []
'''


def main(argv: Sequence[str]) -> int:
    """Write the two files; the exit status."""
    given = _parser().parse_args(argv)
    if not _NAME.fullmatch(given.name):
        print(f"pypcp agent new: {given.name!r}: a name is small letters, digits and underscores", file=sys.stderr)
        return 2
    if not 1 <= given.domain <= MAX_DOMAIN:
        print(f"pypcp agent new: {given.domain} is no domain; they go from 1 to {MAX_DOMAIN}", file=sys.stderr)
        return 2
    files = {f"{given.name}.py": _AGENT, f"test_{given.name}.py": _TEST}
    for file, text in files.items():
        path = given.directory / file
        try:
            with path.open("x") as written:
                written.write(text.format(name=given.name, domain=given.domain))
        except OSError as error:
            print(f"pypcp agent new: {path}: {error.strerror}", file=sys.stderr)
            return 1
        print(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pypcp agent new", description="Write a new agent that works, and its test.")
    parser.add_argument("name", metavar="NAME", help="the agent's name: its file's, and what its metrics begin with")
    parser.add_argument("-d", "--domain", type=int, default=_DEFAULT_DOMAIN, help="its domain (default: %(default)s)")
    parser.add_argument("-C", "--directory", type=Path, default=Path(), help="where to write (default: here)")
    return parser
