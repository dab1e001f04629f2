"""``pypcp probe``: are there values? One line a metric, for scripts; stock's pmprobe(1)."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pypcp.errors import PcpError
from pypcp.model.desc import Desc
from pypcp.model.ids import IN_NULL, PM_ID_NULL, PM_INDOM_NULL, Pmid
from pypcp.model.values import ValueSet
from pypcp.pmapi.calls import BlockingCalls
from pypcp.pmapi.operations.steps import answered
from pypcp.tools import render
from pypcp.tools.client_options import ClientParser, apply_timezone, guarded, open_context, positive_int, print_json


def main(argv: list[str]) -> int:
    """Run the tool; 1 if a metric asked for is unknown."""
    parser = _parser()
    options = parser.parse(argv)
    if options.values and (options.internal or options.external):
        parser.error("at most one of -v and (-i or -I) allowed")
    return guarded(parser.prog, lambda: _run(parser.prog, options))


def _parser() -> ClientParser:
    parser = ClientParser("probe", "[options] [NAME]...", "Are there values?", version_letter="-d")
    parser.add_argument("names", nargs="*", metavar="NAME", help="metrics or what is above them; none: all")
    parser.add_timezone()
    parser.add_argument("-b", "--batch", type=positive_int, default=128, metavar="N", help="metrics at a time")
    parser.flags(
        (
            ("f", "force", "list all instances that there are, with or without a value"),
            ("F", "faster", "the names are metrics, do not look below them"),
            ("i", "internal", "list the numbers of instances"),
            ("I", "external", "list the names of instances"),
            ("v", "values", "list the values"),
        )
    )
    return parser


def _run(program: str, options: argparse.Namespace) -> int:
    with open_context(program, options) as context:
        apply_timezone(context, options)
        probes = _Probe(context, options).probes()
        if options.json:
            print_json([found.json() for found in probes])
        else:
            for found in probes:
                print(found.text())
    return 0


@dataclass
class _Found:
    """The outcome for one name: an error and where it comes from, or a count and what is to be listed."""

    name: str
    count: int = 0
    error: PcpError | None = None
    failed_call: str = ""
    listed: Sequence[str] = ()
    data: dict[str, object] | None = None

    def text(self) -> str:
        """One line."""
        if self.error is None:
            return " ".join([f"{self.name} {self.count}", *self.listed])
        where = f" ({self.failed_call})" if self.failed_call else ""
        return f"{self.name} {self.error.code} {self.error.sentence}{where}"

    def json(self) -> dict[str, object]:
        """The same as JSON data."""
        if self.error is not None:
            return {"name": self.name, "error": render.json_error(self.error)}
        return {"name": self.name, "count": self.count} | (self.data or {})


class _Probe:
    """One run: names are looked up and values fetched in batches."""

    def __init__(self, context: BlockingCalls, options: argparse.Namespace) -> None:
        self._context = context
        self._options = options
        self._needs_desc = options.internal or options.external or options.values

    def probes(self) -> Iterator[_Found]:
        """The outcome for each name, those first that are unknown."""
        names: list[str] = []
        for name in self._options.names or [""]:
            if self._options.faster and name:
                names.append(name)
                continue
            try:
                names += self._context.traverse(name)
            except PcpError as error:
                yield _Found(name, error=answered(error))
        for start in range(0, len(names), self._options.batch):
            yield from self._probe(names[start : start + self._options.batch])

    def _probe(self, names: list[str]) -> Iterator[_Found]:
        found = self._context.lookup_names(names)
        if len(names) == 1 and isinstance(found[0], PcpError):
            yield _Found(names[0], error=found[0])
            return
        # Among several names stock does not see which one failed, and asks for what has no identifier.
        pmids = [pmid if isinstance(pmid, Pmid) else PM_ID_NULL for pmid in found]
        result = self._context.fetch(pmids)
        descs = self._context.lookup_descs(pmids) if self._needs_desc else [None] * len(pmids)
        for name, desc, value_set in zip(names, descs, result.value_sets, strict=True):
            yield self._outcome(name, desc, value_set)

    def _outcome(self, name: str, desc: Desc | PcpError | None, value_set: ValueSet) -> _Found:
        if isinstance(desc, PcpError):
            return _Found(name, error=desc, failed_call="pmLookupDesc")
        if desc is not None and self._options.force and not self._options.values:
            return self._all_instances(name, desc)
        if value_set.error is not None:
            return _Found(name, error=value_set.error)
        if desc is None:
            return _Found(name, len(value_set.values))
        if self._options.values:
            return self._with_values(name, desc, value_set)
        known = self._instances(desc) if self._options.external and value_set.instances else {}
        return self._with_instances(name, value_set.instances, known if isinstance(known, dict) else {})

    def _all_instances(self, name: str, desc: Desc) -> _Found:
        known = self._instances(desc)
        if isinstance(known, PcpError):
            return _Found(name, error=known, failed_call="pmGetInDom")
        return self._with_instances(name, known, known)

    def _instances(self, desc: Desc) -> dict[int, str] | PcpError:
        if desc.indom == PM_INDOM_NULL:
            return {IN_NULL: ""}
        try:
            return self._context.instances(desc.indom)
        except PcpError as error:
            return answered(error)

    def _with_instances(self, name: str, instances: Iterable[int], known: dict[int, str]) -> _Found:
        numbers = list(instances)
        listed = [text for instance in numbers for text in self._instance_texts(instance, known)]
        entries = [{"id": instance, "name": known.get(instance)} for instance in numbers if instance != IN_NULL]
        return _Found(name, len(numbers), listed=listed, data={"instances": entries})

    def _instance_texts(self, instance: int, known: dict[int, str]) -> Iterator[str]:
        for wanted, text in (
            (self._options.internal, f"?{instance}"),
            (self._options.external, f'"{known[instance]}"' if instance in known else f"?{instance}"),
        ):
            if wanted:
                yield "PM_IN_NULL" if instance == IN_NULL else text

    def _with_values(self, name: str, desc: Desc, value_set: ValueSet) -> _Found:
        listed = [render.value_text(value, desc.type) for value in value_set.values]
        values = [render.json_value(value) for value in value_set.values]
        return _Found(name, len(values), listed=listed, data={"values": values})
