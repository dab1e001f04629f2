"""What threads of the author may change while the agent is asked."""

import sys
import threading

import pytest

from pypcp.model.labels import LabelType
from pypcp.pmda import Agent
from pypcp.pmda.testing import AgentTester


@pytest.fixture(autouse=True)
def threads_take_turns_all_the_time():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def agent() -> Agent:
    return Agent("acme", 100)


@pytest.fixture
def changing():
    """Have a function called again and again in a thread of its own, with the number of the turn."""
    stopping = threading.Event()
    failures: list[BaseException] = []
    threads: list[threading.Thread] = []

    def run(change) -> None:
        turn = 0
        try:
            while not stopping.is_set():
                change(turn)
                turn += 1
        except BaseException as error:  # noqa: BLE001 - what a thread raises is the test's
            failures.append(error)

    def start(change) -> None:
        threads.append(threading.Thread(target=run, args=(change,)))
        threads[-1].start()

    yield start
    stopping.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_members_come_and_go_while_names_are_asked_for(agent, changing):
    pools = agent.subtree("acme.pool", clusters=range(10, 11))

    @pools.metric("")
    def size(size: int) -> int:
        return size

    tester = AgentTester(agent)
    changing(lambda turn: pools.replace({f"p{number}": number for number in range(turn % 7, turn % 7 + 60)}))
    for _ in range(300):
        names = tester.names("acme")
        assert len(names) in (0, 60)


def test_instances_and_their_values_are_of_one_piece(agent, changing):
    things = agent.indom(0, label_instance=lambda name: {"name": name})
    names: list[str] = []

    @agent.metric("acme.length", indom=things)
    def length() -> list[int]:
        return [len(names)] * len(names)

    def change(turn: int) -> None:
        with agent.lock:
            names[:] = [f"i{number}" for number in range(turn % 40 + 1)]
            things.replace(names)

    tester = AgentTester(agent)
    changing(change)
    for _ in range(300):
        (values,) = tester.fetch_sets([length.desc.pmid])
        assert values.error is None
        assert len(values.values) == sum(set(values.values))
        tester.labels(things.id, LabelType.INSTANCES)
