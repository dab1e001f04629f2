"""Every operation against a captured conversation of libpcp with pmcd: we send what libpcp sent."""

import errno

import pytest

from pypcp.errors import (
    AuthenticationError,
    BadStore,
    ConnectionLimit,
    NoAgent,
    OsError,
    PermissionDenied,
    UnknownInDom,
    UnknownInstance,
    UnknownName,
    UnknownPmid,
)
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL, InDom, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.values import Semantics, ValueSet, ValueType
from pypcp.pmapi.operations.connect import Security
from pypcp.pmapi.operations.labels import metric_labels
from pypcp.pmapi.operations.metadata import (
    instance_name,
    instances,
    lookup_desc,
    lookup_descs,
    lookup_indom_text,
    lookup_instance,
    lookup_text,
)
from pypcp.pmapi.operations.names import Child, children, lookup_name, lookup_names, names_of, traverse
from pypcp.pmapi.operations.sasl import Credentials
from pypcp.pmapi.operations.values import fetch, fetch_untyped, store
from pypcp.wire.pdu import Feature, StateChange
from unit.pmapi.transcript import Transcript

DYN = InDom.build(250, 0)


def pmids(*texts: str) -> list[Pmid]:
    return [Pmid.parse(text) for text in texts]


def test_names_are_looked_up_in_both_directions() -> None:
    pmcd = Transcript("api-names")
    pmcd.connect()
    assert pmcd.call(children, "simple") == [
        Child("numfetch", True),
        Child("color", True),
        Child("time", False),
        Child("now", True),
    ]
    # libpcp leaves out the statuses where its caller does; we always ask, and the reply is the same but for them.
    pmcd.skip(2)
    assert len(pmcd.call(children, "dyn")) == 15
    assert pmcd.call(children, "simple.numfetch") == []
    with pytest.raises(UnknownName, match=r"no\.such$"):
        pmcd.call(children, "no.such")
    assert pmcd.call(names_of, Pmid.parse("253.0.0")) == ["simple.numfetch"]
    assert pmcd.call(names_of, Pmid.parse("250.0.3")) == ["dyn.u64"]
    with pytest.raises(UnknownPmid, match=r"253\.9\.9$"):
        pmcd.call(names_of, Pmid.parse("253.9.9"))
    with pytest.raises(NoAgent):
        pmcd.call(names_of, Pmid.parse("400.9.9"))
    numfetch, bogus, i32, other = pmcd.call(lookup_names, ["simple.numfetch", "bogus.name", "dyn.i32", "simple"])
    assert [numfetch, i32] == pmids("253.0.0", "250.0.0")
    assert isinstance(bogus, UnknownName) and isinstance(other, UnknownName)
    assert (bogus.detail, other.detail) == ("bogus.name", "simple")
    (alone,) = pmcd.call(lookup_names, ["bogus.name"])
    assert isinstance(alone, UnknownName)
    with pytest.raises(UnknownName, match=r"dyn\.nosuch$"):
        pmcd.call(lookup_name, "dyn.nosuch")
    assert pmcd.at_end


def test_a_subtree_is_walked_by_pmcd() -> None:
    pmcd = Transcript("traverse")
    pmcd.connect()
    assert pmcd.call(traverse, "simple") == [
        "simple.numfetch",
        "simple.color",
        "simple.time.user",
        "simple.time.sys",
        "simple.now",
    ]
    assert pmcd.at_end


def test_instances_go_by_domain_by_name_and_by_number() -> None:
    pmcd = Transcript("api-indom")
    pmcd.connect()
    assert pmcd.call(lookup_instance, DYN, "red") == 0
    assert pmcd.call(lookup_instance, DYN, "green") == 5
    with pytest.raises(UnknownInstance, match=r"'mauve' of 250\.0$"):
        pmcd.call(lookup_instance, DYN, "mauve")
    assert pmcd.call(instance_name, DYN, 5) == "green apple"
    with pytest.raises(UnknownInstance, match=r"77 of 250\.0$"):
        pmcd.call(instance_name, DYN, 77)
    assert pmcd.call(instances, DYN) == {0: "red", 5: "green apple", 9: "blue"}
    for unknown in (InDom.build(250, 99), InDom.build(400, 0)):
        with pytest.raises(UnknownInDom, match=f"{unknown}$"):
            pmcd.call(instances, unknown)
    assert pmcd.call(lookup_indom_text, DYN, oneline=True) == "Oneline indom for 250.0"
    with pytest.raises(UnknownPmid, match=r"400\.0\.0$"):
        pmcd.call(lookup_text, Pmid.parse("400.0.0"))
    assert pmcd.at_end


def test_a_help_text_that_fails_is_asked_for_as_a_summary() -> None:
    pmcd = Transcript("text")
    pmcd.connect()
    assert pmcd.call(traverse, "dyn.u64") == ["dyn.u64"]
    u64 = pmcd.call(lookup_name, "dyn.u64")
    assert pmcd.call(lookup_text, u64, oneline=True) == "Oneline metric for 250.0.3"
    assert pmcd.call(lookup_text, u64) == "Help metric for 250.0.3"
    assert pmcd.at_end


def test_descriptors_are_asked_for_together_and_once() -> None:
    pmcd = Transcript("api-descs")
    pmcd.connect()
    numfetch, u64, unknown, agentless = pmids("253.0.0", "250.0.3", "253.9.9", "400.1.1")
    first, second, third, fourth = pmcd.call(lookup_descs, [numfetch, u64, unknown, agentless])
    assert first == Desc(numfetch, ValueType.U32, PM_INDOM_NULL, Semantics.INSTANT)
    assert (second.pmid, second.type, str(second.units)) == (u64, ValueType.U64, "Mbyte / sec")
    assert isinstance(third, UnknownPmid) and isinstance(fourth, UnknownPmid)
    assert pmcd.call(lookup_descs, [numfetch, u64, numfetch]) == [first, second, first]
    for missing in (unknown, agentless):
        with pytest.raises(UnknownPmid, match=f"{missing}$"):
            pmcd.call(lookup_desc, missing)


def test_a_pmcd_that_cannot_answer_descriptors_together_is_asked_for_each() -> None:
    pmcd = Transcript("values-lowres")
    pmcd.connect()
    assert not pmcd.state.offers(Feature.DESCS | Feature.HIGHRES)
    names = [f"dyn.{name}" for name in ("i32", "u64", "flt", "dbl", "str", "agg", "errv", "instv")]
    for name in names:
        assert pmcd.call(traverse, name) == [name]
    found = pmcd.call(lookup_names, names)
    result = pmcd.call(fetch_untyped, found)
    assert result.time_ns == 1795224799_930530_000
    assert [value_set.type for value_set in result.value_sets][1:5] == [
        ValueType.U64,
        ValueType.FLOAT,
        ValueType.DOUBLE,
        ValueType.STRING,
    ]
    assert [desc.pmid for desc in pmcd.call(lookup_descs, found)] == found
    assert pmcd.call(instances, DYN) == {0: "red", 5: "green apple", 9: "blue"}
    assert pmcd.at_end


def test_values_have_the_type_of_their_descriptor() -> None:
    pmcd = Transcript("container-client")
    pmcd.connect(container="web01")
    assert pmcd.call(traverse, "dyn.i32") == ["dyn.i32"]
    i32 = pmcd.call(lookup_name, "dyn.i32")
    result = pmcd.call(fetch, [i32])
    assert result.value_sets[0].type is ValueType.I32
    assert result.value_sets[0].value == -2
    assert pmcd.at_end


def test_a_profile_is_told_before_a_fetch_and_only_when_it_changed() -> None:
    pmcd = Transcript("api-profile")
    pmcd.connect()
    state, color = pmcd.state, InDom.build(253, 0)
    state.profile = state.profile.add(DYN, [0, 9]).delete(color, [1])
    wanted = pmids("250.0.9", "253.0.1", "400.0.1", "250.0.100")
    result = pmcd.call(fetch_untyped, wanted)
    assert list(result.value_sets[0].instances) == [0]
    assert [type(value_set.error) for value_set in result.value_sets[2:]] == [NoAgent, UnknownPmid]
    pmcd.call(fetch_untyped, wanted[:1])
    state.profile = state.profile.delete(PM_INDOM_NULL)
    assert [len(sent.values) for sent in pmcd.call(fetch_untyped, wanted[:2]).value_sets] == [0, 0]
    assert pmcd.at_end


def test_the_handle_of_a_context_is_the_sender_of_its_requests() -> None:
    pmcd = Transcript("ctx-slots-2", handle=1)
    pmcd.connect()
    (numfetch,) = pmids("253.0.0")
    assert pmcd.call(fetch, [numfetch]).value_sets[0].value == 21
    assert pmcd.at_end


@pytest.mark.parametrize(
    ("name", "wanted", "changes"),
    [
        ("state-drop-restart", ["250.0.0", "253.0.0"], [0, 0, 0, StateChange.DROP_AGENT, 3, 0, 0]),
        ("pmda-statechange", ["251.0.0", "253.0.0"], [0, 0, StateChange.LABEL_CHANGE | StateChange.NAMES_CHANGE, 0, 0]),
    ],
)
def test_state_changes_come_with_the_fetch_that_they_precede(name: str, wanted: list[str], changes: list[int]) -> None:
    pmcd = Transcript(name)
    pmcd.connect()
    assert [pmcd.call(fetch_untyped, pmids(*wanted)).changes for _ in changes] == changes
    assert pmcd.at_end


def test_descriptors_are_forgotten_when_the_agents_changed() -> None:
    pmcd = Transcript("state-drop-restart")
    pmcd.connect()
    wanted = pmids("250.0.0", "253.0.0")
    desc = Desc(wanted[0], ValueType.I32)
    pmcd.state.descs[wanted[0]] = desc
    for _ in range(3):
        pmcd.call(fetch_untyped, wanted)
    assert pmcd.state.descs == {wanted[0]: desc}
    pmcd.call(fetch_untyped, wanted)
    assert pmcd.state.descs == {}


def test_values_are_stored_as_a_result_and_refused_by_an_error() -> None:
    pmcd = Transcript("api-store")
    pmcd.connect()
    result = pmcd.call(fetch_untyped, pmids("250.0.0", "253.0.0", "250.0.5"))
    pmcd.call(store, result.value_sets, result.time_ns)
    pmcd.call(store, result.value_sets[:1], result.time_ns)
    for where, error in (("250.0.1", BadStore), ("400.0.1", NoAgent)):
        (pmid,) = pmids(where)
        sent = result.value_sets[0]
        moved = ValueSet(pmid, sent.instances, sent.values, type=sent.type, format=sent.format)
        with pytest.raises(error):
            pmcd.call(store, [moved], result.time_ns)
    assert pmcd.at_end


def test_labels_are_asked_for_level_by_level_and_merged() -> None:
    pmcd = Transcript("labels")
    pmcd.connect()
    assert pmcd.call(traverse, "dyn.instv") == ["dyn.instv"]
    pmid = pmcd.call(lookup_name, "dyn.instv")
    pmcd.call(fetch_untyped, [pmid])
    desc = pmcd.call(lookup_desc, pmid)
    pmcd.postpone(2, behind=2, after=10)  # pminfo asks for the instances before their labels
    labels = pmcd.call(metric_labels, desc)
    assert {name: label.value for name, label in labels.levels[LabelType.DOMAIN].items()} == {"role": "testing"}
    assert list(labels.merged) == sorted(labels.merged)
    assert labels.merged["role"].json == '"testing"'
    assert labels.of_instance(5)["role"] == labels.merged["role"]
    assert set(labels.instances) == {0, 5, 9}
    assert pmcd.call(instances, DYN) == {0: "red", 5: "green apple", 9: "blue"}
    assert pmcd.at_end


def test_plain_sends_user_and_password_at_once() -> None:
    pmcd = Transcript("sasl-plain")
    pmcd.connect(credentials=Credentials("root", "s3cret", method="plain"))
    assert pmcd.call(traverse, "dyn.i32") == ["dyn.i32"]


def test_a_refused_password_is_the_answer_to_the_first_request() -> None:
    pmcd = Transcript("sasl-plain-fail")
    pmcd.connect(credentials=Credentials("root", "bad", method="plain"))
    pmcd.postpone(1, behind=1)  # the recording has the refusal before the request that it seems to answer
    with pytest.raises(AuthenticationError, match="authentication failure"):
        pmcd.call(traverse, "dyn.i32")


def test_scram_proves_the_password_without_sending_it() -> None:
    pmcd = Transcript("sasl-scram")
    credentials = Credentials(
        "root", "s3cret", method="scram-sha-256", nonce=lambda: "eqUpn5a6Ip0iOpQY+UuqtYk50xjzm2i0"
    )
    pmcd.connect(credentials=credentials)
    assert pmcd.call(traverse, "dyn.i32") == ["dyn.i32"]


def test_tls_begins_after_pmcd_said_go_on() -> None:
    pmcd = Transcript("tls-pcps")
    pmcd.connect(security=Security.ENFORCED)
    assert pmcd.tls_started
    assert pmcd.at_end


@pytest.mark.parametrize(("name", "error"), [("access-denied", PermissionDenied), ("conn-limit", ConnectionLimit)])
def test_a_refusal_in_the_challenge_is_raised(name: str, error: type[Exception]) -> None:
    pmcd = Transcript(name)
    with pytest.raises(error):
        pmcd.connect()


def test_a_pmcd_that_wants_credentials_gets_none_from_us_without_them() -> None:
    pmcd = Transcript("creds-required-tcp")
    with pytest.raises(PermissionDenied, match="username"):
        pmcd.connect()


def test_on_a_unix_socket_required_credentials_are_known_to_pmcd() -> None:
    pmcd = Transcript("creds-required-unix")
    pmcd.connect(unix=True, local=True)
    assert pmcd.call(traverse, "simple.numfetch") == ["simple.numfetch"]


def test_what_pmcd_does_not_offer_is_not_asked_for() -> None:
    pmcd = Transcript("values-lowres")
    with pytest.raises(OsError) as caught:
        pmcd.connect(security=Security.ENFORCED)
    assert caught.value.code == -errno.EOPNOTSUPP


def test_relaxed_security_goes_on_in_clear() -> None:
    pmcd = Transcript("traverse")
    pmcd.connect(security=Security.RELAXED)
    assert not pmcd.tls_started
