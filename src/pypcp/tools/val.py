"""``pypcp val``: watch one metric; stock's pmval(1) for hosts."""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import time
from collections.abc import Iterator

from pypcp.errors import PcpError
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL
from pypcp.model.values import ValueType
from pypcp.pmapi.calls import BlockingCalls
from pypcp.pmapi.operations.steps import answered
from pypcp.pmapi.operations.values import FetchResult
from pypcp.tools.client_options import ClientParser, apply_timezone, count, fail, guarded, open_context, positive_int
from pypcp.tools.intervals import parse_interval
from pypcp.tools.val_views import EVENTS, EventView, JsonView, TableView, View

_NAMES = re.compile(r"""'([^']*)'|"([^"]*)"|([^\s,]+)""")
_SPECIFICATION = re.compile(r"(?P<name>[^\[\]]+)\[(?P<instances>[^\[\]]*)\]")


def main(argv: list[str]) -> int:
    """Run the tool; 1 if there is no such metric or instance."""
    parser = _parser()
    options = parser.parse(argv)
    if match := _SPECIFICATION.fullmatch(options.name):
        options.name = match["name"]
        options.instances = [match["instances"]]  # as in stock, brackets have the last word
    return guarded(parser.prog, lambda: _run(parser.prog, options))


def _parser() -> ClientParser:
    parser = ClientParser("val", "[options] NAME[[INSTANCE,...]]", "Watch one metric.")
    parser.add_argument("name", metavar="NAME", help="the metric, perhaps with instances in brackets")
    parser.add_argument("-s", "--samples", type=count, default=0, metavar="N", help="end after N samples; 0: never")
    parser.add_argument("-t", "--interval", type=_interval, default=1.0, metavar="TIME", help="between samples [1 sec]")
    parser.add_argument("-i", "--instances", action="append", default=[], metavar="NAMES", help="only these instances")
    parser.add_argument("-f", "--precision", type=count, metavar="N", help="numbers with N digits behind the point")
    parser.add_argument("-w", "--width", type=positive_int, metavar="N", help="columns of N characters")
    parser.add_timezone()
    parser.flags((("r", "raw", "counters as they are, not as rates"),))
    return parser


def _interval(text: str) -> float:
    try:
        return parse_interval(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _run(program: str, options: argparse.Namespace) -> int:
    with open_context(program, options) as context:
        desc = _described(program, context, options.name)
        _choose(program, context, desc, options.instances)
        zone = apply_timezone(context, options)
        view = _view(context, options, desc, _host_name(context))
        if zone and not options.json:
            print(f"Note: timezone set to {view.zone_note(zone)}")
        if desc.type == ValueType.NOSUPPORT:
            print()
            fail(program, "unknown performance metric value type NO_SUPPORT")
        view.begin()
        for result in _samples(context, desc, options, view.needs_two):
            view.sample(result)
            sys.stdout.flush()
    return 0


def _described(program: str, context: BlockingCalls, name: str) -> Desc:
    call = f"pmLookupName({name})"
    try:
        pmid = context.lookup_name(name)
        call = "pmLookupDesc"
        return context.lookup_desc(pmid)
    except PcpError as error:
        fail(program, f"{call}: {answered(error).sentence}")


def _choose(program: str, context: BlockingCalls, desc: Desc, lists: list[str]) -> None:
    """Make the context about these instances only."""
    names = [next(filter(None, match)) for text in lists for match in _NAMES.findall(text)]
    if not names or desc.indom == PM_INDOM_NULL:
        return
    known = {name: instance for instance, name in context.instances(desc.indom).items()}
    known |= {name.split()[0]: instance for name, instance in known.items() if name.split()[0] not in known}
    for name in names:
        if name not in known:
            fail(program, f"instance {name} not available")
    context.delete_profile(desc.indom)
    context.add_profile(desc.indom, [known[name] for name in names])


def _host_name(context: BlockingCalls) -> str:
    """What the host calls itself."""
    try:
        result = context.fetch([context.lookup_name("pmcd.hostname")])
        return str(result.value_sets[0].value)
    except PcpError as error:
        answered(error)
        return context.host


def _view(context: BlockingCalls, options: argparse.Namespace, desc: Desc, host: str) -> View:
    kind = JsonView if options.json else EventView if desc.type in EVENTS else TableView
    return kind(context, options, desc, host)


def _samples(
    context: BlockingCalls, desc: Desc, options: argparse.Namespace, first_is_extra: bool
) -> Iterator[FetchResult]:
    """Fetch again and again, on the beat of the interval however long a fetch takes."""
    wanted = options.samples + first_is_extra if options.samples else None
    begin = time.monotonic()
    for number in itertools.count() if wanted is None else range(wanted):
        time.sleep(max(0.0, begin + number * options.interval - time.monotonic()))
        yield context.fetch([desc.pmid])
