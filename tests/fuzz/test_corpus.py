"""What fuzzing has found stays found: every input that is kept breaks no rule. `make fuzz` looks for more."""

from collections.abc import Iterator

import pytest

from fuzz import targets
from fuzz.corpus import NAMES, inputs
from fuzz.seeds import seeds


@pytest.fixture(scope="module", autouse=True)
def _no_collector_left_behind() -> Iterator[None]:
    yield
    targets.collector().close()
    targets.collector.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def _collector(_no_collector_left_behind: None) -> None:
    """There before the first test, which is not to be blamed for what it opens."""
    targets.collector()


@pytest.mark.parametrize("name", NAMES)
def test_no_input_that_is_kept_breaks_a_rule(name: str) -> None:
    kept = inputs(name)
    assert kept
    for data in kept:
        targets.TARGETS[name](data)


@pytest.mark.parametrize("name", NAMES)
def test_no_recording_breaks_a_rule(name: str) -> None:
    for data in set(seeds()):
        targets.TARGETS[name](data)


def test_a_daemon_that_forgets_a_client_is_found_out() -> None:
    collector = targets.collector()
    collector.daemon.clients.enter(collector.lost_client())
    with pytest.raises(targets.Refusal, match="still there"):
        targets.fuzz_daemon(b"\0")
    collector.daemon.clients.leave(next(iter(collector.daemon.clients)).client, [])
    targets.fuzz_daemon(b"\0")
