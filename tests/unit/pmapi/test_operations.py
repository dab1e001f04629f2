"""What no capture shows: bad replies, long lists, version 1, and answers that pmcd should not give."""

import errno
from typing import Any

import pytest

from pypcp.errors import (
    ClientCertificateRequired,
    ConversionError,
    NoLabels,
    NoPmns,
    NoValue,
    OsError,
    PermissionDenied,
    RemoteProtocolError,
    TooFew,
    UnknownInDom,
    UnknownName,
)
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_ID_NULL, PM_INDOM_NULL, InDom, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.units import NONE
from pypcp.model.values import Semantics, ValueFormat, ValueSet, ValueType
from pypcp.pmapi.operations.connect import Security, Wishes, connect
from pypcp.pmapi.operations.labels import labels, merge, read_labels
from pypcp.pmapi.operations.metadata import instances, lookup_descs, lookup_instance, lookup_text
from pypcp.pmapi.operations.names import children, lookup_name, lookup_names, traverse
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Ask, Operation, StartTls, Tell
from pypcp.pmapi.operations.values import fetch, store
from pypcp.wire.desc import DescIds, Descs
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.instance import InstanceReply
from pypcp.wire.label import LabelReply, label_set
from pypcp.wire.pdu import Feature, Pdu, encode
from pypcp.wire.pmns import PmnsIds, PmnsNames
from pypcp.wire.result import Result
from pypcp.wire.text import TextReply
from pypcp.wire.versions import PDU_VERSION1, Channel
from unit.pmapi.transcript import replies

MODERN = Feature.LABELS | Feature.HIGHRES | Feature.DESCS
PMID = Pmid.build(29, 0, 1)
INDOM = InDom.build(29, 1)


def state(features: Feature = MODERN, version: int = 2) -> ContextState:
    return ContextState(Channel(version=version, features=features))


def requests_of(operation: Operation[Any], *answers: Pdu) -> list[Pdu]:
    """What an operation sends, given these answers; it need not come to its end."""
    sent, waiting = [], list(answers)
    try:
        step = next(operation)
        while True:
            if isinstance(step, Ask | Tell):
                sent.append(step.pdu)
            if not isinstance(step, Tell | StartTls) and not waiting:
                return sent
            step = operation.send(None if isinstance(step, Tell | StartTls) else waiting.pop(0))
    except StopIteration:
        return sent


def test_a_long_list_of_names_is_asked_for_in_pieces_that_pmcd_takes() -> None:
    names = [f"{'component.' * 10}leaf{number}" for number in range(2000)]
    sizes = []
    operation = lookup_names(state(), names)
    step = next(operation)
    with pytest.raises(StopIteration) as end:
        while isinstance(step, Ask) and isinstance(step.pdu, PmnsNames):
            sizes.append(len(encode(step.pdu)))
            step = operation.send(PmnsIds([PMID] * len(step.pdu.names), len(step.pdu.names)))
    assert end.value.value == [PMID] * 2000
    assert len(sizes) > 1
    assert max(sizes) <= 63 * 1024


def test_a_long_list_of_identifiers_is_asked_for_in_pieces_that_pmcd_takes() -> None:
    pmids = [Pmid.build(29, 0, item) for item in range(1000)] + [Pmid.build(30, 0, 1)] * 2
    pmids += [Pmid.build(29, cluster, item) for cluster in range(1, 40) for item in range(1000)]
    sizes = []
    operation = lookup_descs(state(), pmids)
    step = next(operation)
    with pytest.raises(StopIteration) as end:
        while isinstance(step, Ask) and isinstance(step.pdu, DescIds):
            sizes.append(len(encode(step.pdu)))
            known = [Desc(Pmid(each), ValueType.U32, PM_INDOM_NULL, Semantics.INSTANT, NONE) for each in step.pdu.pmids]
            step = operation.send(Descs(known))
    assert [desc.pmid for desc in end.value.value] == pmids
    assert len(sizes) > 1
    assert max(sizes) <= 64 * 1024


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (lookup_name(state(), "a"), PmnsIds([PMID, PMID], 2)),
        (lookup_name(state(), "a"), PmnsNames(["a"])),
        (children(state(), "a"), PmnsNames(["b"])),
        (lookup_descs(state(), [PMID, PM_ID_NULL]), Descs([None])),
        (fetch(state(), [PMID]), Result(0, [], highres=True)),
        (fetch(state(), [PMID]), Result(0, [ValueSet(PMID)], highres=False)),
        (fetch(state(Feature.NONE), [PMID]), Result(0, [ValueSet(PMID)], highres=True)),
        (labels(state(), LabelType.ITEM, PMID), LabelReply(PMID, LabelType.CLUSTER, [])),
        (labels(state(), LabelType.ITEM, PMID), LabelReply(PMID + 1, LabelType.ITEM, [])),
        (lookup_instance(state(), INDOM, "a"), InstanceReply(INDOM, [1, 2], ["a", "b"])),
        (store(state(), [ValueSet.singular(PMID, 1, ValueType.U32)]), PmnsNames(["a"])),
    ],
)
def test_a_reply_that_does_not_fit_its_request_is_a_protocol_error(operation: Operation[Any], answer: Pdu) -> None:
    with pytest.raises(RemoteProtocolError):
        replies(answer)(operation)


@pytest.mark.parametrize(
    "operation",
    [lookup_names(state(), []), lookup_descs(state(), []), fetch(state(), []), store(state(), [])],
    ids=["names", "descriptors", "values", "store"],
)
def test_an_empty_list_is_refused_without_asking_pmcd(operation: Operation[Any]) -> None:
    with pytest.raises(TooFew):
        next(operation)


def test_a_store_without_a_value_is_refused_without_asking_pmcd() -> None:
    with pytest.raises(NoValue):
        next(store(state(), [ValueSet(PMID)]))


def test_a_singular_metric_has_no_instances_to_ask_for() -> None:
    with pytest.raises(UnknownInDom):
        next(instances(state(), PM_INDOM_NULL))


def test_a_negative_count_of_names_is_an_error_code() -> None:
    with pytest.raises(UnknownName, match=": a"):
        replies(PmnsNames([], error=UnknownName.code))(traverse(state(), "a"))


def test_a_domain_of_one_nameless_instance_is_no_answer_to_half_a_question() -> None:
    assert replies(InstanceReply(INDOM, [3], []))(instances(state(), INDOM)) == {3: ""}
    assert replies(InstanceReply(INDOM, [], ["only"]))(instances(state(), INDOM)) == {-1: "only"}
    assert replies(InstanceReply(INDOM))(instances(state(), INDOM)) == {}


def test_an_empty_help_text_makes_way_for_the_summary() -> None:
    assert replies(TextReply(PMID, ""), TextReply(PMID, "short"))(lookup_text(state(), PMID)) == "short"
    assert replies(Error(-12349), TextReply(PMID, "short"))(lookup_text(state(), PMID)) == "short"


def test_values_become_what_the_descriptor_says() -> None:
    other = Pmid(PMID + 1)
    sent = [ValueSet(pmid, [-1], [0xFFFFFFFE], format=ValueFormat.INSITU) for pmid in (PMID, other)]
    descs = Descs([Desc(PMID, ValueType.I32), Desc(other, ValueType.U32)])
    context = state()
    result = replies(Result(5, sent, highres=True), descs)(fetch(context, [PMID, other]))
    assert [value_set.value for value_set in result.value_sets] == [-2, 0xFFFFFFFE]
    again = replies(Result(5, sent, highres=True))(fetch(context, [PMID, other]))
    assert again.value_sets == result.value_sets


def test_values_that_contradict_their_descriptor_are_an_error_of_that_metric_alone() -> None:
    context = state()
    context.descs = {PMID: Desc(PMID, ValueType.U64), PMID + 1: Desc(Pmid(PMID + 1), ValueType.U32)}
    wrong = ValueSet.singular(PMID, "text", ValueType.STRING)
    right = ValueSet(PMID + 1, [-1], [7], format=ValueFormat.INSITU)
    first, second = replies(Result(0, [wrong, right], highres=True))(fetch(context, [PMID, PMID + 1])).value_sets
    assert isinstance(first.error, ConversionError)
    assert second.value == 7


def test_a_pmcd_without_labels_has_the_name_of_its_host_as_a_label() -> None:
    old = state(Feature.NONE)
    host = ValueSet.singular(PMID, "box", ValueType.STRING)
    found = replies(PmnsIds([PMID], 1), Result(0, [host]))(labels(old, LabelType.CONTEXT))
    assert found[-1]["hostname"].value == "box"
    with pytest.raises(NoLabels):
        next(labels(old, LabelType.ITEM, PMID))


def test_labels_of_a_deeper_level_override() -> None:
    outer = read_labels(label_set({"role": "testing", "zone": 1}, LabelType.CONTEXT))
    inner = read_labels(label_set({"role": "production"}, LabelType.ITEM))
    merged = merge(outer, inner)
    assert {name: label.value for name, label in merged.items()} == {"role": "production", "zone": 1}
    assert merged["role"].flags == LabelType.ITEM


# The opening.


def opening(challenge: Pdu, **wishes: Any) -> tuple[ContextState, list[Pdu]]:
    context = ContextState(Channel())
    return context, requests_of(connect(context, Wishes(**wishes)), challenge, Error(0))


def test_the_short_form_of_the_challenge_means_version_1_and_no_credentials() -> None:
    context, sent = opening(Error(0))
    assert context.channel.version == PDU_VERSION1
    assert sent == []
    with pytest.raises(NoPmns):
        next(traverse(context, ""))
    with pytest.raises(NoPmns):
        next(lookup_name(context, "a"))


def test_a_version_1_refusal_is_in_version_1_numbers() -> None:
    with pytest.raises(PermissionDenied):
        opening(Error(-1042))


def test_features_of_the_server_are_remembered_and_never_echoed() -> None:
    context, sent = opening(Challenge(features=MODERN | Feature.AUTH | Feature.CONTAINER))
    assert context.offers(Feature.HIGHRES)
    assert [pdu.flags for pdu in sent if isinstance(pdu, Creds)] == [Feature.NONE]


@pytest.mark.parametrize("wish", [{"security": Security.ENFORCED}, {"container": "web"}])
def test_what_pmcd_cannot_do_is_not_supported(wish: dict[str, Any]) -> None:
    with pytest.raises(OsError) as caught:
        opening(Challenge(features=MODERN), **wish)
    assert caught.value.code == -errno.EOPNOTSUPP


def test_a_required_certificate_means_tls_but_for_local_clients() -> None:
    offered = Feature.CERT_REQD | Feature.SECURE | Feature.SECURE_ACK
    with pytest.raises(ClientCertificateRequired):
        opening(Challenge(features=offered))
    _, sent = opening(Challenge(features=offered), local=True)
    assert [pdu.flags for pdu in sent if isinstance(pdu, Creds)] == [Feature.NONE]
    _, sent = opening(Challenge(features=offered), security=Security.RELAXED)
    assert [pdu.flags for pdu in sent if isinstance(pdu, Creds)] == [offered]


def test_pmcd_must_open_with_its_challenge() -> None:
    with pytest.raises(RemoteProtocolError):
        opening(PmnsNames(["a"]))
