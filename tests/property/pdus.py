"""Hypothesis strategies: any legal PDU of every kind."""

from types import MappingProxyType

from hypothesis import strategies as st

from pypcp.errors import from_code
from pypcp.model.desc import Desc
from pypcp.model.events import EventArray, EventFlags, EventParameter, EventRecord
from pypcp.model.ids import InDom, Pmid
from pypcp.model.labels import Label, LabelSet, LabelType
from pypcp.model.profile import InDomProfile, Profile
from pypcp.model.units import Units
from pypcp.model.values import ValueFormat, ValueSet, ValueType
from pypcp.wire.attribute import Attribute, AttributeKey
from pypcp.wire.desc import DescIds, DescReply, DescRequest, Descs
from pypcp.wire.fetch import Fetch, ProfilePdu
from pypcp.wire.handshake import Challenge, Creds, Error
from pypcp.wire.instance import InstanceReply, InstanceRequest
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import Feature, Pdu
from pypcp.wire.pmns import PmnsChild, PmnsIds, PmnsNames, PmnsTraverse
from pypcp.wire.result import Result
from pypcp.wire.text import TextKind, TextReply, TextRequest

U32 = st.integers(0, 2**32 - 1)
I32 = st.integers(-(2**31), 2**31 - 1)
COUNTS = st.integers(0, 2**31 - 1)
TEXT = st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape"))
NAME = st.binary(min_size=1, max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape"))
PMIDS = U32.map(Pmid)
INDOMS = U32.map(InDom)
ERRORS = st.integers(-(2**31), -1).map(from_code)
FLOATS = st.floats(width=32, allow_nan=False)

NUMBERS = {
    ValueType.I32: I32,
    ValueType.U32: U32,
    ValueType.I64: st.integers(-(2**63), 2**63 - 1),
    ValueType.U64: st.integers(0, 2**64 - 1),
    ValueType.FLOAT: FLOATS,
    ValueType.DOUBLE: st.floats(allow_nan=False),
}
PLAIN = NUMBERS | {
    ValueType.STRING: TEXT.map(lambda text: text.partition("\0")[0]),  # a value ends at its first NUL
    ValueType.AGGREGATE: st.binary(max_size=40),
    ValueType.AGGREGATE_STATIC: st.binary(max_size=40),
}

PARAMETERS = st.sampled_from(sorted(PLAIN)).flatmap(
    lambda type_: st.builds(EventParameter, U32, st.just(type_), PLAIN[type_])
)


@st.composite
def event_arrays(draw: st.DrawFn, highres: bool) -> EventArray:
    """Arrays that survive the wire: microseconds in the classic form, no lost count in the other."""
    records = []
    for _ in range(draw(st.integers(0, 3))):
        seconds = draw(st.integers(-(2**31), 2**31 - 1))
        fraction = draw(st.integers(0, 999_999)) * 1000 + (draw(st.integers(0, 999)) if highres else 0)
        time_ns = seconds * 10**9 + fraction
        if draw(st.booleans()):
            records.append(EventRecord(time_ns, EventFlags.MISSED, missed=0 if highres else draw(COUNTS)))
        else:
            flags = EventFlags(draw(st.integers(0, 0x1F)))
            records.append(EventRecord(time_ns, flags, tuple(draw(st.lists(PARAMETERS, max_size=3)))))
    return EventArray(tuple(records), highres)


BLOCKS = {type_: values for type_, values in PLAIN.items() if type_ not in (ValueType.I32, ValueType.U32)} | {
    ValueType.EVENT: event_arrays(highres=False),
    ValueType.HIGHRES_EVENT: event_arrays(highres=True),
}


@st.composite
def block_sets(draw: st.DrawFn) -> ValueSet:
    """Value sets whose values are in blocks."""
    type_ = draw(st.sampled_from(sorted(BLOCKS)))
    values = draw(st.lists(BLOCKS[type_], min_size=1, max_size=5))
    instances = draw(st.lists(I32, min_size=len(values), max_size=len(values)))
    format_ = draw(st.sampled_from([ValueFormat.DPTR, ValueFormat.SPTR]))
    return ValueSet(draw(U32), instances, values, type=type_, format=format_)


@st.composite
def in_place_sets(draw: st.DrawFn) -> ValueSet:
    """Value sets as they are decoded when their values are in place."""
    words = draw(st.lists(U32, min_size=1, max_size=5))
    instances = draw(st.lists(I32, min_size=len(words), max_size=len(words)))
    return ValueSet(draw(U32), instances, words, format=ValueFormat.INSITU)


VALUE_SETS = st.one_of(block_sets(), in_place_sets(), st.builds(ValueSet, U32))
REFUSED_SETS = st.builds(ValueSet, U32, error=ERRORS)


@st.composite
def results(draw: st.DrawFn) -> Result:
    """Results whose times survive the wire."""
    highres = draw(st.booleans())
    seconds = draw(NUMBERS[ValueType.I64] if highres else I32)
    fraction = draw(st.integers(0, 999_999_999)) if highres else draw(st.integers(0, 999_999)) * 1000
    return Result(seconds * 10**9 + fraction, draw(st.lists(VALUE_SETS, max_size=5)), highres, draw(I32))


INDOM_PROFILES = st.builds(InDomProfile, st.booleans(), st.frozensets(I32, max_size=5))
PROFILES = st.builds(Profile, st.booleans(), st.dictionaries(U32, INDOM_PROFILES, max_size=4).map(MappingProxyType))

NIBBLES = st.integers(-8, 7)
SCALES = st.integers(0, 15)
UNITS = st.builds(Units, NIBBLES, NIBBLES, NIBBLES, SCALES, SCALES, NIBBLES, st.integers(0, 255))
DESCS = st.builds(Desc, PMIDS.filter(lambda pmid: pmid != 2**32 - 1), I32, INDOMS, I32, UNITS)


@st.composite
def label_sets(draw: st.DrawFn) -> LabelSet:
    """Any index that stays within its text, or an error."""
    instance = draw(I32)
    if draw(st.booleans()):
        return LabelSet(instance, draw(st.binary(max_size=30)), (), draw(st.integers(-(2**31), -1)))
    text = draw(st.binary(max_size=60))
    ends = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)
    labels = []
    for _ in range(draw(st.integers(0, 3))):
        (name, name_end), (value, value_end) = draw(ends), draw(ends)
        flags = LabelType(draw(st.integers(0, 255)))
        labels.append(Label(name, name_end - name, flags, value, value_end - value))
    return LabelSet(instance, text, labels)


@st.composite
def instance_replies(draw: st.DrawFn) -> InstanceReply:
    """Whole domains that are no half of an instance."""
    entries = draw(
        st.lists(st.tuples(I32, TEXT), max_size=5).filter(lambda e: len(e) != 1 or (e[0][0] != -1 and e[0][1]))
    )
    return InstanceReply(draw(INDOMS), [number for number, _ in entries], [name for _, name in entries], draw(I32))


@st.composite
def names(draw: st.DrawFn) -> PmnsNames:
    """Names with or without statuses."""
    given = draw(st.lists(NAME, max_size=5))
    statuses = draw(st.lists(I32, min_size=len(given), max_size=len(given))) if given and draw(st.booleans()) else None
    return PmnsNames(given, statuses, 0, draw(I32))


FLAGS = st.integers(0, 0xFFFF).map(Feature)
CHALLENGE_CODES = st.integers(-(2**31) + 20000, 0)

PDUS: st.SearchStrategy[Pdu] = st.one_of(
    st.builds(Error, I32, I32),
    st.builds(Challenge, st.just(0), FLAGS, st.integers(0, 127), st.integers(0, 255), I32),
    st.builds(Creds, st.integers(0, 255), FLAGS, I32),
    st.builds(Attribute, I32 | st.sampled_from(AttributeKey), st.binary(max_size=100), I32),
    st.builds(ProfilePdu, COUNTS, PROFILES, I32),
    st.builds(Fetch, I32, st.lists(U32, min_size=1, max_size=9).map(tuple), st.booleans(), I32),
    results(),
    st.builds(DescRequest, PMIDS, I32),
    st.builds(DescReply, DESCS, I32),
    st.builds(DescIds, st.lists(PMIDS, min_size=1, max_size=5).map(tuple), st.just(-1), I32),
    st.builds(Descs, st.lists(st.none() | DESCS, max_size=4), I32),
    st.builds(InstanceRequest, INDOMS, I32, TEXT, I32),
    instance_replies(),
    st.builds(TextRequest, U32, st.integers(0, 31).map(TextKind), I32),
    st.builds(TextReply, U32, TEXT, I32),
    st.builds(LabelRequest, U32, I32, I32),
    st.builds(LabelReply, U32, I32, st.lists(label_sets(), max_size=3), I32),
    st.builds(PmnsIds, st.lists(PMIDS, min_size=1, max_size=5).map(tuple), I32, I32),
    names(),
    st.builds(PmnsChild, TEXT, I32, I32),
    st.builds(PmnsTraverse, TEXT, I32, I32),
)
"""Every kind of PDU, such that decoding what was encoded gives an equal one."""
