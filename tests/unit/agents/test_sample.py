"""What the sample agent does, without stock beside it."""

import pytest

from pypcp.agents.sample import sample_agent
from pypcp.errors import GenericError, ProfileRequired, UnknownName, UnknownPmid
from pypcp.model.ids import Pmid
from pypcp.pmda import Client
from pypcp.pmda.finding import find_agent
from pypcp.pmda.interface import FetchRequest
from pypcp.pmda.testing import AgentTester

ORIGIN = Pmid.build(29, 0, 1009)


@pytest.fixture
def tester():
    with AgentTester(sample_agent()) as made:
        yield made


def test_what_is_stored_into_a_bin_shows_in_all_metrics_of_bins(tester):
    tester.store("sample.bin", 33, instance="bin-300")
    assert tester.fetch("sample.float.bin")["bin-300"] == 33.0
    assert tester.fetch("sample.string.bin")["bin-300"] == " 33"
    assert tester.fetch("sample.bucket")["bin-200"] == 200


def test_ghosts_come_with_their_metrics_and_go(tester):
    agent = tester.agent
    assert agent.traverse("sample.ghosts") == ["sample.ghosts.visible"]
    with pytest.raises(UnknownPmid):
        agent.desc(ORIGIN)
    tester.store("sample.ghosts.visible", 2)
    assert agent.lookup_name("sample.ghosts.origin") == ORIGIN
    assert tester.fetch("sample.ghosts.origin") == {"Obambo": "Africa", "Banjhakri": "Nepal"}
    tester.store("sample.ghosts.visible", -1)
    with pytest.raises(UnknownName):
        agent.lookup_name("sample.ghosts.origin")


def test_what_is_not_below_a_secret_has_nothing_below_it(tester):
    assert tester.agent.children("sample.secret.nosuch") == []
    assert tester.agent.children("sample.secret") == [("foo", False), ("bar", True)]


def test_an_error_code_is_the_answer_of_all_questions(tester):
    tester.store("sample.error_code", GenericError.code)
    with pytest.raises(GenericError):
        tester.fetch("sample.error_check")
    with pytest.raises(GenericError):
        tester.desc("sample.error_check")


def test_values_that_want_a_profile_are_given_for_instances_that_are_named(tester):
    assert tester.fetch("sample.needprofile", "terry") == {"terry": pytest.approx(12.05)}
    with pytest.raises(ProfileRequired):
        tester.fetch("sample.needprofile")


def test_a_client_counts_what_it_asked_and_not_what_others_did(tester):
    agent, requests = tester.agent, tester.agent.requests
    one, other = Client(1), Client(2)
    load = FetchRequest((tester.pmid("sample.load"),))
    agent.fetch(load, one)
    assert requests.received(one) == 2  # its profile, too
    agent.fetch(load, one)
    agent.desc(load.pmids[0])
    agent.fetch(load, one)
    assert requests.received(one) == 5
    agent.fetch(load, other)
    assert (requests.received(one), requests.received(other)) == (5, 2)
    assert (requests.highest, requests.active, requests.started, requests.ended) == (2, 2, 2, 0)
    agent.desc(load.pmids[0])
    agent.end_context(other)
    agent.fetch(load, one)
    assert requests.received(one) == 7
    assert (requests.active, requests.ended) == (1, 1)


def test_storing_into_control_ends_the_process_and_not_a_daemon_that_has_the_agent_inside() -> None:
    agent = find_agent("sample")
    with AgentTester(agent) as tester:
        tester.store("sample.control", 5)
        assert (tester.fetch("sample.control"), agent.has_quit) == (5, False)
        tester.store("sample.control", -1)
        assert (tester.fetch("sample.control"), agent.has_quit) == (-1, True)
