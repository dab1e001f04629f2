"""The sample agent: what a client can do to it by storing."""

from pypcp.pmda.finding import find_agent
from pypcp.pmda.testing import AgentTester


def test_storing_into_control_ends_the_process_and_not_a_daemon_that_has_the_agent_inside() -> None:
    agent = find_agent("sample")
    with AgentTester(agent) as tester:
        tester.store("sample.control", 5)
        assert (tester.fetch("sample.control"), agent.has_quit) == (5, False)
        tester.store("sample.control", -1)
        assert (tester.fetch("sample.control"), agent.has_quit) == (-1, True)
