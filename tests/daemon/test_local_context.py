"""Agents asked without a daemon: the answers are those of a daemon with the same agents."""

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import OurDaemon
from pypcp import BlockingContext, LocalContext
from pypcp.errors import BadStore, PcpError, PermissionDenied, UnknownName
from pypcp.model.events import EventArray
from pypcp.model.labels import LabelType
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmapi.calls import BlockingCalls
from pypcp.pmda import I32, Agent
from pypcp.tools.main import main
from pypcp.wire.pdu import StateChange


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OurDaemon]:
    configuration = tmp_path_factory.mktemp("local") / "pmcd.conf"
    configuration.write_text("sample 29 dso sample_init /dev/null\nsimple 253 dso simple_init /dev/null\n")
    with OurDaemon("-c", configuration, tool="pmcd") as running:
        yield running


def told(context: BlockingCalls) -> dict[str, object]:
    """All that does not change from one moment to the next."""
    names = [name for root in ("sample", "simple") for name in context.traverse(root)]
    pmids = context.lookup_names(names)
    own = [each for each in pmids if not isinstance(each, PcpError) and each.domain in (29, 253)]
    descs = context.lookup_descs(own)
    domains = sorted({desc.indom for desc in descs if not isinstance(desc, PcpError) and desc.indom != 0xFFFFFFFF})
    return {
        "names": names,
        "pmids": pmids,
        "descs": [type(desc) if isinstance(desc, PcpError) else desc for desc in descs],
        "instances": {each: context.instances(each) for each in domains},
        "texts": [context.lookup_text(each) for each in pmids if str(each).startswith("253.")],
        "children": context.children("sample"),
        "labels": context.labels(LabelType.CLUSTER, 29 << 22),
    }


def test_what_is_known_of_metrics_is_what_a_daemon_tells(daemon: OurDaemon) -> None:
    with BlockingContext(daemon.unix) as far, LocalContext(["sample", "simple"]) as here:
        near, there = told(here), told(far)
        for what, known in near.items():
            assert known == there[what]


def test_values_are_fetched_through_a_profile_and_stored() -> None:
    with LocalContext(["sample"]) as context:
        (bins, mine) = pmids = context.lookup_names(["sample.long.bin", "sample.write_me"])
        context.delete_profile(context.lookup_desc(bins).indom)
        context.add_profile(context.lookup_desc(bins).indom, [100, 300])
        context.store([ValueSet.singular(mine, 7, ValueType.I32)])
        result = context.fetch(pmids)
        assert [list(each.values) for each in result.value_sets] == [[100, 300], [7]]


def test_a_refusal_is_the_error_that_it_is() -> None:
    with LocalContext(["sample"]) as context:
        with pytest.raises(UnknownName):
            context.lookup_name("sample.nonesuch")
        with pytest.raises((PermissionDenied, BadStore)):
            context.store([ValueSet.singular(context.lookup_name("sample.long.one"), 1, ValueType.I32)])


def test_an_agent_sees_one_client_and_its_end() -> None:
    agent = Agent("local", 400)
    seen: list[object] = []

    @agent.metric("local.uid")
    def uid(client) -> I32:  # type: ignore[no-untyped-def]
        """Whose client asks"""
        seen.append(client)
        return client.uid

    agent.on_end(seen.append)
    with LocalContext([agent]) as context:
        context.fetch([context.lookup_name("local.uid")])
        context.fetch([context.lookup_name("local.uid")])
    assert len(seen) == 3
    assert len(set(map(id, seen))) == 1


def test_events_are_those_since_the_fetch_before() -> None:
    with LocalContext(["sample"]) as context:
        records = context.lookup_name("sample.event.records")
        kinds = {type(each) for _ in range(3) for each in context.fetch([records]).value_sets[0].values}
        assert kinds <= {EventArray}


def test_a_changing_name_space_is_announced_with_the_next_fetch(tmp_path: Path) -> None:
    agent = Agent("local", 400)
    tree = agent.subtree("local.things", clusters=range(1, 8))
    tree.metric("size")(_one)
    agent.metric("local.one")(_one)
    with LocalContext([agent]) as context:
        assert context.traverse("local") == ["local.one"]
        tree.add("a")
        result = context.fetch([context.lookup_name("local.one")])
        assert result.changes & StateChange.NAMES_CHANGE
        assert context.traverse("local.things") == ["local.things.a.size"]


def _one() -> I32:
    """One"""
    return 1


def test_tools_ask_agents_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "-L", "--agent", "simple", "-f", "simple.color"]) == 0
    assert 'inst [0 or "red"] value 1' in capsys.readouterr().out
    assert main(["probe", "--local-PMDA", "--agent", "simple", "simple"]) == 0
    assert capsys.readouterr().out.split("\n")[0].startswith("simple.numfetch 1")


def test_the_startup_and_the_first_reading_in_the_background_are_waited_for() -> None:
    agent = Agent("local", 400)
    began = threading.Event()

    @agent.startup
    def begin() -> None:
        began.wait(0.2)  # nobody sets it: the startup takes its time

    source = agent.source(every=60)(lambda: 7)
    failing = agent.source(every=60)(_fail)
    source.metric("local.read", type_=ValueType.I32)(lambda now: now)
    failing.metric("local.failed", type_=ValueType.I32)(lambda now: now)
    with LocalContext([agent]) as context:
        read, failed = context.fetch(context.lookup_names(["local.read", "local.failed"])).value_sets
    assert read.value == 7
    assert failed.error is not None
    assert failed.error.code == -errno.ENOENT


def _fail() -> None:
    raise OSError(errno.ENOENT, "not there")


def test_a_mistake_in_an_agent_asked_here_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "acme.py").write_text("import math\nimport nosuchmodule\n")
    with pytest.raises(SystemExit, match="1"):
        main(["info", "-L", "--agent", str(tmp_path / "acme.py")])
    said = f"pypcp info: {tmp_path}/acme.py:2: ModuleNotFoundError: No module named 'nosuchmodule'\n"
    assert capsys.readouterr().err == said
