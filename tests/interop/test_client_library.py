"""Both kinds of context against stock's pmcd."""

import asyncio
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peers import StockPmcd, require
from pypcp.errors import NoAgent, NotLeaf, PcpError, PermissionDenied, TlsError, UnknownName
from pypcp.model.desc import Desc
from pypcp.model.ids import PM_INDOM_NULL, Pmid
from pypcp.model.labels import LabelType
from pypcp.model.values import ValueSet, ValueType
from pypcp.pmapi.blocking import BlockingContext
from pypcp.pmapi.connection import Patience
from pypcp.pmapi.context import Context
from pypcp.wire.pdu import StateChange
from waiting import wait_until


@pytest.fixture(scope="module")
def pmcd() -> Iterator[StockPmcd]:
    with StockPmcd(("pmcd", "linux", "sample")) as daemon:
        yield daemon


@pytest.fixture(params=["tcp", "unix"])
def context(request: pytest.FixtureRequest, pmcd: StockPmcd) -> Iterator[BlockingContext]:
    with BlockingContext(getattr(pmcd, request.param)) as made:
        yield made


def test_a_walk_by_children_finds_what_a_traverse_finds(context: BlockingContext) -> None:
    def walk(name: str) -> Iterator[str]:
        for child in context.children(name):
            below = f"{name}.{child.name}" if name else child.name
            yield from [below] if child.leaf else walk(below)

    for subtree in ("kernel", "network", "pmcd"):
        assert list(walk(subtree)) == context.traverse(subtree)


def test_every_name_has_an_identifier_a_descriptor_and_its_name_back(context: BlockingContext) -> None:
    # The part of the name space that belongs to sample's other form has no agent here.
    names = [name for name in context.traverse() if not name.startswith("sampledso")]
    pmids = context.lookup_names(names)
    assert len(names) > 1000
    assert all(isinstance(pmid, Pmid) for pmid in pmids)
    descs = context.lookup_descs(pmids)
    missing = {name for name, desc in zip(names, descs, strict=True) if not isinstance(desc, Desc)}
    assert missing <= {"sample.bad.unknown"}
    for name, pmid in list(zip(names, pmids, strict=True))[::50]:
        assert name in context.names_of(pmid)


def test_names_that_are_none_say_why(context: BlockingContext) -> None:
    for name, error in (("no.such", UnknownName), ("kernel", NotLeaf)):
        with pytest.raises(error):
            context.lookup_name(name)
    with pytest.raises(NoAgent):
        context.name_of(Pmid.build(400, 0, 0))


def test_a_fetch_of_everything_gives_each_metric_a_value_or_a_reason(context: BlockingContext) -> None:
    pmids = [pmid for pmid in context.lookup_names(context.traverse()) if isinstance(pmid, Pmid)]
    result = context.fetch(pmids)
    assert [value_set.pmid for value_set in result.value_sets] == pmids
    for value_set in result.value_sets:
        assert value_set.error is None or not value_set.values
        desc = context.state.descs.get(value_set.pmid)
        if value_set.values and desc is not None:
            assert value_set.type == desc.type
    assert abs(result.time_ns - time.time_ns()) < 60 * 10**9


def test_a_profile_chooses_the_instances_of_a_fetch(context: BlockingContext) -> None:
    pmid = context.lookup_name("sample.bin")
    indom = context.lookup_desc(pmid).indom
    chosen = context.lookup_instance(indom, "bin-300")
    context.delete_profile(indom)
    context.add_profile(indom, [chosen])
    assert context.fetch([pmid]).value_sets[0].by_instance().keys() == {chosen}
    context.add_profile(PM_INDOM_NULL)
    assert len(context.fetch([pmid]).value_sets[0].values) == 9


def test_a_stored_value_is_fetched_again(context: BlockingContext) -> None:
    pmid = context.lookup_name("sample.string.write_me")
    context.store([ValueSet.singular(pmid, "grüße", ValueType.STRING)])
    assert context.fetch([pmid]).value_sets[0].value == "grüße"
    with pytest.raises(PermissionDenied):
        context.store([ValueSet.singular(context.lookup_name("sample.daemon_pid"), 1, ValueType.U32)])
    assert context.fetch([pmid]).value_sets[0].value == "grüße"


def test_labels_tell_agent_and_host(context: BlockingContext) -> None:
    labels = context.metric_labels(context.lookup_desc(context.lookup_name("sample.bin")))
    assert labels.merged["agent"].value == "sample"
    assert labels.of_instance(100)["bin"].value == 100
    assert "hostname" in context.labels(LabelType.CONTEXT)[-1]
    assert context.labels(LabelType.CONTEXT, 0) == context.labels(LabelType.CONTEXT)


def test_the_death_of_an_agent_is_reported_once_with_a_fetch() -> None:
    with StockPmcd(("pmcd", "sample")) as pmcd, BlockingContext(pmcd.tcp) as context:
        pmids = [context.lookup_name(name) for name in ("sample.daemon_pid", "pmcd.version")]
        pid = context.fetch(pmids).value_sets[0].value
        os.kill(int(str(pid)), signal.SIGKILL)
        wait_until(lambda: context.fetch(pmids).changes & StateChange.DROP_AGENT, "the end of the agent")
        assert context.fetch(pmids[1:]).value_sets[0].value


def test_a_context_survives_the_restart_of_pmcd() -> None:
    patience = Patience(5.0, 10.0, (0.01,))
    with StockPmcd(("pmcd",)) as first:
        context = BlockingContext(first.tcp, patience=patience)
        pmid = context.lookup_name("pmcd.version")
        version = context.fetch([pmid]).value_sets[0].value
        port = first.port
    with context:
        with pytest.raises(PcpError):
            context.fetch([pmid])
        second = StockPmcd(("pmcd",))
        second.port = port
        with second:
            wait_until(lambda: answered(context, pmid) == version, "another connection")


def answered(context: BlockingContext, pmid: Pmid) -> object:
    try:
        return context.fetch([pmid]).value_sets[0].value
    except PcpError:
        return None


async def test_many_tasks_share_one_context(pmcd: StockPmcd) -> None:
    async with Context(pmcd.tcp) as context:
        names = await context.traverse("hinv")
        pmids = await context.lookup_names(names)
        descs = await asyncio.gather(*(context.lookup_desc(pmid) for pmid in pmids if isinstance(pmid, Pmid)))
        assert [desc.pmid for desc in descs] == pmids


async def test_cancelled_calls_do_not_disturb_the_others(pmcd: StockPmcd) -> None:
    async with Context(pmcd.tcp) as context:
        pmids = [pmid for pmid in await context.lookup_names(await context.traverse("hinv")) if isinstance(pmid, Pmid)]
        for number, pmid in enumerate(pmids * 5):
            call = asyncio.create_task(context.fetch([pmid]))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            result = await context.fetch([pmid])
            assert result.value_sets[0].pmid == pmid


class TlsPmcd(StockPmcd):
    """Stock's pmcd with a certificate of its own."""

    def environment(self) -> dict[str, str]:
        openssl = shutil.which("openssl")
        require(openssl, "openssl, for a certificate")
        self.certificate = self.directory / "server.crt"
        key = self.directory / "server.key"
        made = ["-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=localhost"]
        names = ["-addext", "subjectAltName=DNS:localhost"]
        command = [str(openssl), "req", *made, *names, "-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        configuration = self.directory / "tls.conf"
        configuration.write_text(
            f"tls-key-file = {key}\ntls-cert-file = {self.certificate}\ntls-ca-cert-file = {self.certificate}\n"
        )
        return super().environment() | {"PCP_TLSCONF_PATH": str(configuration)}


@pytest.fixture(scope="module")
def tls_pmcd() -> Iterator[TlsPmcd]:
    with TlsPmcd(("pmcd",)) as daemon:
        yield daemon


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def test_a_conversation_under_tls(tls_pmcd: TlsPmcd) -> None:
    with BlockingContext(f"pcps://{tls_pmcd.tcp}", tls=trusting(tls_pmcd.certificate)) as context:
        assert context.fetch([context.lookup_name("pmcd.version")]).value_sets[0].value


async def test_a_conversation_under_tls_on_a_loop(tls_pmcd: TlsPmcd) -> None:
    async with Context(f"pcps://{tls_pmcd.tcp}", tls=trusting(tls_pmcd.certificate)) as context:
        assert (await context.fetch([await context.lookup_name("pmcd.version")])).value_sets[0].value


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_pmcd: TlsPmcd) -> None:
    with pytest.raises(TlsError):
        BlockingContext(f"pcps://{tls_pmcd.tcp}", tls=ssl.create_default_context())


def test_tls_conf_says_whom_to_trust(tls_pmcd: TlsPmcd, monkeypatch: Any) -> None:
    monkeypatch.setenv("PCP_TLSCONF_PATH", str(tls_pmcd.directory / "tls.conf"))
    monkeypatch.setenv("PCP_SYSCONF_DIR", str(tls_pmcd.directory / "nowhere"))
    with BlockingContext(f"pcps://{tls_pmcd.tcp}") as context:
        assert context.traverse("pmcd.version") == ["pmcd.version"]
