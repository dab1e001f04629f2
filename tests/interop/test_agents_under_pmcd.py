"""Our agents as lines of a pmcd's configuration, stock's and ours, seen by stock's clients."""

import os
import re
import subprocess

import pytest

from interop.agents import PMDAS, SERVE, dynamic_names, pmcd_with
from peers import Daemon, StockPmcd, clean_environment, compiled_agent, require, stock
from waiting import wait_until


def pminfo(daemon: Daemon, *arguments: object, at: str | None = None) -> str:
    run = stock("pminfo", "-h", at or daemon.tcp, *arguments)
    return run.stdout + run.stderr


@pytest.fixture(scope="module", params=["stock", "ours"])
def pmcd(request):
    """Whose daemon starts the agent."""
    return request.param


@pytest.fixture(scope="module")
def simple(pmcd, tmp_path_factory):
    state = tmp_path_factory.mktemp("simple")
    with pmcd_with(pmcd, "simple", 253, "simple", f"{PMDAS}/simple/root", state=state) as daemon:
        yield daemon


def test_metadata_of_simple_is_what_stocks_simple_tells(simple, tmp_path):
    compiled_agent("simple")
    with StockPmcd(["pmcd", "simple"]) as theirs:
        for name in ("simple.numfetch", "simple.color", "simple.time.user", "simple.time.sys", "simple.now"):
            assert pminfo(simple, "-d", "-m", name) == pminfo(theirs, "-d", "-m", name)
        assert pminfo(simple, "-l", "simple.now") == pminfo(theirs, "-l", "simple.now")


def test_metadata_of_trivial_is_what_stocks_trivial_tells(pmcd, tmp_path):
    compiled_agent("trivial")
    ours_alone = pmcd_with(pmcd, "trivial", 250, "trivial", f"{PMDAS}/trivial/root", state=tmp_path)
    with ours_alone as ours, StockPmcd(["pmcd", "trivial"]) as theirs:
        assert pminfo(ours, "-d", "-m", "trivial") == pminfo(theirs, "-d", "-m", "trivial")
        assert re.search(r"value 1\d{9}\n", pminfo(ours, "-f", "trivial.time"))


def test_values_of_simple_move_and_can_be_stored(simple):
    assert re.search(r'inst \[1 or "green"\] value \d+', pminfo(simple, "-f", "simple.color"))
    stored = stock("pmstore", "-h", simple.tcp, "-i", "red", "simple.color", "77")
    assert re.search(r'simple.color inst \[0 or "?red"?\] old value=\d+ new value=77', stored.stdout)
    refused = stock("pmstore", "-h", simple.tcp, "simple.color", "256")
    assert "Bad input to pmstore" in refused.stdout + refused.stderr


def test_help_is_shown(simple):
    assert "Three numbers that grow by one with each fetch" in pminfo(simple, "-t", "simple.color")


def test_one_instance_is_asked_for_by_its_name(simple):
    printed = stock("pmval", "-h", simple.tcp, "-s", "1", "-i", "green", "simple.color").stdout
    assert "green" in printed
    assert "red" not in printed


def test_a_client_of_ours_is_known_by_its_uid_and_forgotten_when_it_ends(pmcd, tmp_path):
    agent = tmp_path / "who.py"
    agent.write_text(
        "from pypcp.pmda import Agent, Client\n"
        'agent = Agent("who", 300, client_attributes=True)\n'
        "ended = []\n"
        "@agent.metric()\n"
        "def uid(client: Client) -> str:\n"
        '    return f"{client.uid} {bool(client.pid)} {len(ended)}"\n'
        "@agent.on_end\n"
        "def gone(client: Client) -> None:\n"
        "    ended.append(client)\n"
    )
    names = dynamic_names(agent, tmp_path / "names")
    with pmcd_with(pmcd, "who", 300, agent, names, state=tmp_path) as daemon:
        assert ended_so_far(daemon) >= 0
        before = ended_so_far(daemon)
        wait_until(lambda: ended_so_far(daemon) > before)


def ended_so_far(daemon: Daemon) -> int:
    """How many clients the agent above has seen go; ours has to be known by its uid."""
    found = re.search(rf'value "{os.getuid()} True (\d+)"', pminfo(daemon, "-f", "who.uid", at=daemon.unix))
    assert found is not None
    return int(found[1])


def test_names_below_a_dynamic_root_are_asked_of_the_agent_and_come_and_go(pmcd, tmp_path):
    agent = tmp_path / "pools.py"
    listing = tmp_path / "listing"
    agent.write_text(
        "from pathlib import Path\n"
        "from pypcp.pmda import Agent\n"
        'agent = Agent("pools", 300)\n'
        "@agent.source()\n"
        "def listing() -> dict[str, str]:\n"
        f'    return dict(line.split() for line in Path("{listing}").read_text().splitlines())\n'
        'tree = agent.subtree("pools.pool", clusters=range(10, 12), source=listing)\n'
        '@tree.metric("size", units="byte")\n'
        "def size(data: str) -> int:\n"
        '    """How large it is"""\n'
        "    return int(data)\n"
        '@agent.metric("pools.steady")\n'
        "def steady() -> int:\n"
        "    return 1\n"
    )
    listing.write_text("fast 1\nslow 2\n")
    names = dynamic_names(agent, tmp_path / "names")
    with pmcd_with(pmcd, "pools", 300, agent, names, state=tmp_path) as daemon:
        assert sorted(pminfo(daemon, "pools").split()) == [
            "pools.pool.fast.size",
            "pools.pool.slow.size",
            "pools.steady",
        ]
        assert "value 2" in pminfo(daemon, "-f", "pools.pool.slow.size")
        kept = pminfo(daemon, "-m", "pools.pool.slow.size")
        listing.write_text("slow 3\nnew 4\n")
        assert sorted(pminfo(daemon, "pools.pool").split()) == ["pools.pool.new.size", "pools.pool.slow.size"]
        assert pminfo(daemon, "-m", "pools.pool.slow.size") == kept
        assert "value 3" in pminfo(daemon, "-f", "pools.pool.slow.size")
        assert "Unknown metric name" in pminfo(daemon, "-f", "pools.pool.fast.size")
        listing.write_text("")
        assert pminfo(daemon, "pools").split() == ["pools.steady"]


def test_an_agent_that_is_not_ready_is_asked_again_when_it_is(pmcd, tmp_path):
    with pmcd_with(pmcd, "sample", 29, "sample", f"{PMDAS}/sample/root", state=tmp_path) as daemon:
        assert "value 1" in pminfo(daemon, "-f", "sample.long.one")
        stored = stock("pmstore", "-h", daemon.tcp, "sample.not_ready", "1")
        assert "new value=1" in stored.stdout
        assert "Try again" in pminfo(daemon, "-f", "sample.long.one")
        wait_until(lambda: "value 1" in pminfo(daemon, "-f", "sample.long.one"))


def test_an_agent_that_is_configured_notready_is_asked_once_it_is_prepared(pmcd, tmp_path):
    agent = tmp_path / "slow.py"
    agent.write_text(
        "import pathlib, time\n"
        "from pypcp.pmda import Agent\n"
        'agent = Agent("slow", 300)\n'
        "@agent.startup\n"
        "def prepare() -> None:\n"
        f'    while not pathlib.Path("{tmp_path}/go").exists():\n'
        "        time.sleep(0.01)\n"
        "@agent.metric()\n"
        "def value() -> int:\n"
        "    return 42\n"
    )
    names = tmp_path / "names"
    names.write_text("root {\n    slow\n}\nslow {\n    value 300:0:0\n}\n")
    with pmcd_with(pmcd, "slow", 300, agent, names, "--notready", state=tmp_path, notready=True) as daemon:
        assert "Try again" in pminfo(daemon, "-f", "slow.value")
        (tmp_path / "go").touch()
        wait_until(lambda: "value 42" in pminfo(daemon, "-f", "slow.value"))


def test_pmlogger_records_an_agents_values_and_events(pmcd, tmp_path):
    require(stock("pmdumplog", "-V").returncode in (0, 1), "pmdumplog")
    with pmcd_with(pmcd, "sample", 29, "sample", f"{PMDAS}/sample/root", state=tmp_path) as daemon:
        config = tmp_path / "config"
        config.write_text("log mandatory on once { sample.long.million sample.bin sample.event.records }\n")
        archive = tmp_path / "archive"
        log = tmp_path / "pmlogger.log"
        stock("pmlogger", "-h", daemon.tcp, "-c", config, "-l", log, "-s", "1", "-T", "1s", archive)
        dumped = stock("pmdumplog", archive, "sample.long.million", "sample.bin").stdout
    assert "value 1000000" in dumped
    assert 'inst [900 or "bin-900"] value 900' in dumped


def test_events_are_unpacked_by_stocks_clients(pmcd, tmp_path):
    with pmcd_with(pmcd, "sample", 29, "sample", f"{PMDAS}/sample/root", state=tmp_path) as daemon:
        for metric in ("records", "highres_records"):
            reset = "reset_highres" if metric.startswith("highres") else "reset"
            stock("pmstore", "-h", daemon.tcp, f"sample.event.{reset}", "3")
            unpacked = pminfo(daemon, "-x", f"sample.event.{metric}")
            assert "sample.event.param_string" in unpacked
            assert 'value "thirteen"' in unpacked
            assert "value -9" in unpacked
            assert "missed" in unpacked


def test_each_client_reads_an_agents_events_at_its_own_pace(pmcd, tmp_path):
    agent = tmp_path / "journal.py"
    agent.write_text(
        "from pypcp.pmda import U32, Agent, Client\n"
        'agent = Agent("journal", 300)\n'
        'log = agent.events("journal.log", parameters={"line": str, "severity": U32})\n'
        '@agent.metric("journal.write", item=0)\n'
        "def write() -> str:\n"
        '    return ""\n'
        "@write.on_store\n"
        "def push(value: str) -> None:\n"
        "    log.push(line=value, severity=3)\n"
    )
    names = dynamic_names(agent, tmp_path / "names")
    with pmcd_with(pmcd, "journal", 300, agent, names, state=tmp_path) as daemon:
        seen = subprocess.Popen(
            ["pmevent", "-h", daemon.tcp, "-s", "40", "-t", "50msec", "journal.log.records"],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        with seen:
            clients = lambda: pminfo(daemon, "-f", "journal.log.clients")  # noqa: E731
            wait_until(lambda: "value 1" in clients())
            stock("pmstore", "-h", daemon.tcp, "journal.write", "disk is full")
            printed, _ = seen.communicate(timeout=30)
        wait_until(lambda: "value 0" in clients())
    assert 'journal.log.line "disk is full"' in printed
    assert "journal.log.severity 3" in printed


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution with an agent, as pip leaves it behind."""
    place = tmp_path / "installed"
    facts = place / "acme_metrics-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-metrics\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[pypcp.agents]\nacme = acme_metrics.storage:agent\n")
    package = place / "acme_metrics"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "storage.py").write_text(
        "from pypcp.pmda import Agent\n"
        'agent = Agent("acme", 300)\n'
        'things = agent.indom(0, persistent=True, help_="Things")\n'
        'things.replace(["a", "b"])\n'
        '@agent.metric("acme.thing", indom=things)\n'
        "def thing() -> list[int]:\n"
        "    return [1, 2]\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(place))
    return place


def test_an_agent_that_a_package_offers_is_served_by_its_name(pmcd, installed, tmp_path):
    names = dynamic_names("acme", tmp_path / "names")
    with pmcd_with(pmcd, "acme", 300, "acme", names, state=tmp_path, python_path=installed) as daemon:
        assert 'inst [1 or "b"] value 2' in pminfo(daemon, "-f", "acme.thing")
    assert (tmp_path / "300.0").read_text().endswith(" b\n")


def test_an_agent_that_a_package_offers_is_listed(installed):
    listed = subprocess.run([*SERVE[:-1], "list"], check=True, capture_output=True, text=True, env=os.environ)
    assert ["acme", "acme_metrics.storage:agent"] in [line.split() for line in listed.stdout.splitlines()]


def test_members_have_instances_of_their_own_and_can_be_stored_into(pmcd, tmp_path):
    agent = tmp_path / "pools.py"
    agent.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass, field\n"
        "from pypcp.pmda import Agent\n"
        "@dataclass\n"
        "class Pool:\n"
        "    vendor: str\n"
        "    disks: dict[str, int] = field(default_factory=dict)\n"
        'agent = Agent("pools", 300)\n'
        'pools = agent.subtree("pools.pool", clusters=range(10, 12))\n'
        "disks = pools.indom(lambda pool: pool.disks, serials=range(5, 9))\n"
        '@pools.metric(indom=disks, units="byte", labels=lambda pool: {"vendor": pool.vendor})\n'
        "def used(pool: Pool) -> dict[str, int]:\n"
        "    return pool.disks\n"
        "@used.on_store\n"
        "def set_used(pool: Pool, instance: str, value: int) -> None:\n"
        "    pool.disks[instance] = value\n"
        'pools.add("fast", Pool("acme", {"sda": 1, "sdb": 2}))\n'
        'pools.add("slow", Pool("bolt", {"sdb": 3}))\n'
    )
    names = dynamic_names(agent, tmp_path / "names")
    with pmcd_with(pmcd, "pools", 300, agent, names, state=tmp_path) as daemon:
        stored = stock("pmstore", "-h", daemon.tcp, "-i", "sdb", "pools.pool.fast.used", "7")
        assert "old value=2 new value=7" in stored.stdout
        assert 'inst [1 or "sdb"] value 7' in pminfo(daemon, "-f", "pools.pool.fast.used")
        slow = pminfo(daemon, "-f", "-d", "-l", "pools.pool.slow.used")
        assert 'inst [1 or "sdb"] value 3' in slow
        assert "InDom: 300.6" in slow
        assert '"vendor":"bolt"' in slow
