"""The daemon's parts, some of them in a daemon."""

from pathlib import Path

import pytest

from running import Starter


@pytest.fixture
def start(tmp_path: Path) -> Starter:
    """Starts a daemon for the time of an ``async with`` block."""
    return Starter(tmp_path)
