"""For pytest: the fixture ``agent_tester``, a function from an agent (or its file, or its name) to an AgentTester."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pypcp.pmda.agent import Agent
from pypcp.pmda.testing import AgentTester


@pytest.fixture
def agent_tester(tmp_path: Path) -> Iterator[Callable[[Agent | str | Path], AgentTester]]:
    """``agent_tester("acme.py")``: a tester that ends with the test; ids are kept in the test's own directory."""
    with ExitStack() as stack:
        yield lambda agent: stack.enter_context(AgentTester(agent, state=tmp_path))
