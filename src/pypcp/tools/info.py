"""``pypcp info``: what a host measures, and what is known about it; stock's pminfo(1)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence

from pypcp.errors import PcpError, UnknownPmid
from pypcp.model.ids import PM_ID_NULL, InDom, Pmid
from pypcp.pmapi.calls import BlockingCalls
from pypcp.tools.client_options import (
    ClientParser,
    apply_timezone,
    complain,
    guarded,
    open_context,
    positive_int,
)
from pypcp.tools.info_report import JsonReport, Metric, Report, TextReport, VerifyReport

_INDOM = re.compile(r"\d+\.\d+")
_PMID = re.compile(r"\d+\.\d+\.\d+")


def main(argv: list[str]) -> int:
    """Run the tool; 1 if something asked for is unknown."""
    parser = _parser()
    options = _implied(parser.parse(argv))
    return guarded(parser.prog, lambda: _run(parser.prog, options))


def _run(program: str, options: argparse.Namespace) -> int:
    with open_context(program, options) as context:
        apply_timezone(context, options)
        return _Info(context, options).run()


def _parser() -> ClientParser:
    parser = ClientParser("info", "[options] [NAME | PMID | INDOM]...", "What a host measures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="metrics or what is above them; none: all")
    parser.add_argument("-b", "--batch", type=positive_int, default=128, metavar="N", help="metrics at a time")
    parser.add_timezone()
    parser.flags(
        (
            ("d", "desc", "the descriptor"),
            ("f", "fetch", "the values"),
            ("F", "fetchall", "the values, also where instances must be asked for by name"),
            ("I", "fullindom", "the descriptor with all of the instance domain's number"),
            ("l", "labels", "the labels"),
            ("m", "pmid", "the identifier"),
            ("M", "fullpmid", "the identifier as a number, too"),
            ("s", "series", "identifiers of source, metric and instances as time series"),
            ("t", "oneline", "the summary"),
            ("T", "helptext", "the help text"),
            ("v", "verify", "look at everything, print errors only"),
            ("x", "events", "the values, and what is in event records"),
        )
    )
    return parser


def _implied(options: argparse.Namespace) -> argparse.Namespace:
    """Add to what was said what follows from it."""
    options.desc |= options.fullindom
    options.fetch |= options.fetchall or options.events
    # A fetch is what makes some agents look for instances, which have labels.
    options.needs_fetch = options.fetch or options.verify or options.labels or options.series
    options.needs_desc = options.desc or options.needs_fetch
    texts = options.oneline or options.helptext
    options.needs_pmid = options.needs_desc or options.pmid or options.fullpmid or texts
    return options


class _Info:
    """One run: names are resolved, metrics looked at in batches, a report is made of each."""

    def __init__(self, context: BlockingCalls, options: argparse.Namespace) -> None:
        self._context = context
        self._options = options
        self._failed = False

    def run(self) -> int:
        """Do it; the exit status."""
        report = self._new_report()
        names, indoms = self._resolve(self._options.names or [""])
        for indom in indoms:
            report.indom(indom)
        for start in range(0, len(names), self._options.batch):
            for metric in self._look_at(names[start : start + self._options.batch]):
                report.metric(metric)
        report.end()
        return int(self._failed)

    def _new_report(self) -> Report:
        if self._options.json:
            return JsonReport(self._context, self._options)
        return VerifyReport() if self._options.verify else TextReport(self._context, self._options)

    def _resolve(self, arguments: Sequence[str]) -> tuple[list[str], list[InDom]]:
        names: list[str] = []
        indoms: list[InDom] = []
        for argument in arguments:
            try:
                if _INDOM.fullmatch(argument):
                    indoms.append(InDom.parse(argument))
                elif _PMID.fullmatch(argument):
                    names.append(self._context.name_of(Pmid.parse(argument)))
                else:
                    names += self._context.traverse(argument)
            except (PcpError, ValueError) as error:
                self._failed = True
                complain(f"Error: {argument}: {error.sentence if isinstance(error, PcpError) else error}")
        return names, indoms

    def _look_at(self, names: list[str]) -> Iterator[Metric]:
        if not self._options.needs_pmid:
            return (Metric(name) for name in names)
        metrics = [self._named(name, found, len(names)) for name, found in self._lookup(names)]
        if self._options.needs_desc:
            self._describe([metric for metric in metrics if metric.error is None])
        if self._options.needs_fetch:
            self._fetch([metric for metric in metrics if metric.desc is not None])
        return iter(metrics)

    def _lookup(self, names: list[str]) -> Iterator[tuple[str, Pmid | PcpError]]:
        return zip(names, self._context.lookup_names(names), strict=True)

    @staticmethod
    def _named(name: str, found: Pmid | PcpError, asked: int) -> Metric:
        if isinstance(found, Pmid):
            return Metric(name, found)
        # Among several names stock does not see which one failed, and goes on without an identifier.
        return Metric(name) if asked > 1 else Metric(name, error=found, failed_call="pmLookupName")

    def _describe(self, metrics: list[Metric]) -> None:
        known = [metric.pmid for metric in metrics if metric.pmid != PM_ID_NULL]
        descs = dict(zip(known, self._context.lookup_descs(known), strict=True)) if known else {}
        for metric in metrics:
            desc = descs.get(metric.pmid, UnknownPmid())
            if isinstance(desc, PcpError):
                metric.error, metric.failed_call = desc, "pmLookupDesc"
            else:
                metric.desc = desc

    def _fetch(self, metrics: list[Metric]) -> None:
        if not metrics:
            return
        result = self._context.fetch([metric.pmid for metric in metrics])
        for metric, value_set in zip(metrics, result.value_sets, strict=True):
            metric.value_set = value_set
