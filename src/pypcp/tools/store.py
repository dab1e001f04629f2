"""``pypcp store``: change the value of a metric; stock's pmstore(1).

Two differences to stock: a zero can be stored into a FLOAT metric, and what is no number of the metric's type (an empty
text, -1 for unsigned 64 bits) is refused instead of stored as another one.
"""

from __future__ import annotations

import argparse
import math
import re
import struct
from collections.abc import Iterator, Mapping

from pypcp.errors import PcpError
from pypcp.model.desc import Desc
from pypcp.model.ids import IN_NULL, PM_INDOM_NULL
from pypcp.model.values import Value, ValueSet, ValueType
from pypcp.pmapi.calls import BlockingCalls
from pypcp.pmapi.operations.steps import answered
from pypcp.tools import render
from pypcp.tools.client_options import ClientParser, complain, guarded, open_context, print_json

_BITS: dict[int, int] = {ValueType.I32: 31, ValueType.U32: 32, ValueType.I64: 63, ValueType.U64: 64}
_TYPE_NAMES: dict[int, str] = {ValueType.I32: "PM_TYPE_32", ValueType.I64: "PM_TYPE_64"}
_INTEGER = re.compile(r"\s*([-+]?)(0[xX][0-9a-fA-F]+|[0-9]+)")
_SEPARATORS = re.compile(r"[,\s]+")


def main(argv: list[str]) -> int:
    """Run the tool; 1 if nothing was stored."""
    parser = ClientParser("store", "[options] NAME VALUE", "Change the value of a metric.")
    parser.flags(
        (
            ("F", "fetch", "fetch again and show what the metric made of the value"),
            ("f", "force", "store also where there is no value now"),
        )
    )
    parser.add_argument("-i", "--insts", action="append", default=[], metavar="NAMES", help="only into these instances")
    # All that follows the name is a value, however it begins.
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="NAME VALUE", help="the metric, and its new value")
    options = parser.parse(argv)
    if len(options.words) != 2:
        parser.error("a metric and a value are needed")
    return guarded(parser.prog, lambda: _run(parser.prog, options))


def _run(program: str, options: argparse.Namespace) -> int:
    with open_context(program, options) as context:
        try:
            _Store(context, options).run()
        except (_NotStored, ValueError) as reason:
            _explain(options, reason)
        else:
            return 0
    return 1


def _explain(options: argparse.Namespace, reason: Exception) -> None:
    if options.json:
        print_json({"name": options.words[0], "error": str(reason)})
    elif isinstance(reason, _NotStored):
        print(reason)
    else:
        complain(str(reason))


class _NotStored(Exception):  # never leaves this module
    """Why not, as stock says it."""


class _Store:
    """One run."""

    def __init__(self, context: BlockingCalls, options: argparse.Namespace) -> None:
        self._context = context
        self._options = options
        self._name, self._text = options.words

    def run(self) -> None:
        """Look up, fetch, store, report."""
        desc = self._described()
        value = parse_value(self._text, desc.type)
        chosen = self._chosen(desc)
        time_ns, before = self._fetch(desc)
        instances = list(before.instances) or self._all_instances(desc, chosen)
        try:
            self._context.store([ValueSet(desc.pmid, instances, [value] * len(instances), type=_type(desc))], time_ns)
        except PcpError as error:
            raise _NotStored(f'{self._name}: new value="{self._text}" pmStore: {answered(error).sentence}') from None
        after: Mapping[int, Value] = dict.fromkeys(instances, value)
        if self._options.fetch:
            after = self._fetch(desc)[1].by_instance()
        self._report(desc, instances, before.by_instance(), after)

    def _described(self) -> Desc:
        call = "pmLookupName"
        try:
            pmid = self._context.lookup_name(self._name)
            call = "pmLookupDesc"
            return self._context.lookup_desc(pmid)
        except PcpError as error:
            raise _NotStored(f"{self._name}: {call}: {answered(error).sentence}") from None

    def _chosen(self, desc: Desc) -> list[int]:
        """The instances named on the command line; from here on the context is about them alone."""
        names = [name for words in self._options.insts for name in _SEPARATORS.split(words) if name]
        chosen = [self._instance(desc, name) for name in names]
        if chosen:
            self._context.delete_profile(desc.indom)
            self._context.add_profile(desc.indom, chosen)
        return chosen

    def _instance(self, desc: Desc, name: str) -> int:
        try:
            return self._context.lookup_instance(desc.indom, name)
        except PcpError as error:
            raise _NotStored(f"pmLookupInDom {self._name}[{name}]: {answered(error).sentence}") from None

    def _fetch(self, desc: Desc) -> tuple[int, ValueSet]:
        result = self._context.fetch([desc.pmid])
        (value_set,) = result.value_sets
        if value_set.error is not None:
            raise _NotStored(f"{self._name}: Error: {value_set.error.sentence}")
        if not value_set.values and not self._options.force:
            raise _NotStored(f"{self._name}: No value(s) available!")
        return result.time_ns, value_set

    def _all_instances(self, desc: Desc, chosen: list[int]) -> list[int]:
        if desc.indom == PM_INDOM_NULL:
            return [IN_NULL]
        return chosen or list(self._context.instances(desc.indom))

    def _report(
        self, desc: Desc, instances: list[int], before: Mapping[int, Value], after: Mapping[int, Value]
    ) -> None:
        names = self._context.instances(desc.indom) if desc.indom != PM_INDOM_NULL else {}
        if self._options.json:
            print_json({"name": self._name, "stored": list(_json(instances, names, before, after))})
            return
        for instance in instances:
            where = "" if instance == IN_NULL else f" inst {render.instance_text(instance, names.get(instance))}"
            old = f" old value={render.value_text(before[instance], desc.type)}" if instance in before else ""
            new = f" new value={render.value_text(after[instance], desc.type)}" if instance in after else ""
            print(f"{self._name}{where}{old}{new}")


def _json(
    instances: list[int], names: Mapping[int, str], before: Mapping[int, Value], after: Mapping[int, Value]
) -> Iterator[dict[str, object]]:
    for instance in instances:
        where = {} if instance == IN_NULL else {"id": instance, "name": names.get(instance)}
        values = {
            key: render.json_value(of[instance]) for key, of in (("old", before), ("new", after)) if instance in of
        }
        yield where | values


def _type(desc: Desc) -> ValueType:
    return ValueType(desc.type)


def parse_value(text: str, type_: ValueType | int) -> Value:
    """The value that a text stands for in a metric of this type; ``ValueError`` with stock's sentence for others."""
    if type_ == ValueType.STRING:
        return text
    if type_ in (ValueType.AGGREGATE, ValueType.AGGREGATE_STATIC):
        raise ValueError("pmstore: Cannot modify values for PM_TYPE_AGGREGATE metrics")
    if type_ in (ValueType.EVENT, ValueType.HIGHRES_EVENT):
        raise ValueError("pmstore: Cannot modify values for event type metrics")
    if type_ in (ValueType.FLOAT, ValueType.DOUBLE):
        return _parse_float(text, type_)
    return _parse_integer(text, type_)


def _parse_integer(text: str, type_: ValueType | int) -> int:
    match = _INTEGER.fullmatch(text)
    if match is None:
        raise _refused(text, "incompatible with", type_)
    digits = match[2]
    number = int(digits, 16) if digits[:2] in ("0x", "0X") else int(digits)
    if match[1] == "-":
        number = -number
    bits = _BITS.get(type_, 31)
    signed = bits % 2
    if not -(signed << bits) <= number < 1 << bits:
        raise _refused(text, "out of range for", type_)
    return number


def _parse_float(text: str, type_: ValueType | int) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _refused(text, "incompatible with", type_) from None
    if text != text.rstrip() or "_" in text:
        raise _refused(text, "incompatible with", type_)
    if math.isinf(number) and ("inf" not in text.lower() or type_ == ValueType.FLOAT):
        raise _refused(text, "out of range for", type_)
    return _single(text, number) if type_ == ValueType.FLOAT else number


def _single(text: str, number: float) -> float:
    try:
        return float(struct.unpack(">f", struct.pack(">f", number))[0])
    except OverflowError:
        raise _refused(text, "out of range for", ValueType.FLOAT) from None


def _refused(text: str, how: str, type_: ValueType | int) -> ValueError:
    name = _TYPE_NAMES.get(type_) or f"PM_TYPE_{ValueType(type_).name}"
    return ValueError(f'The value "{text}" is {how} the data type ({name})')
