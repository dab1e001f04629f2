"""What the daemon tells of itself without anybody being connected, asked as an agent is."""

import os
import re
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pypcp.errors import PermissionDenied
from pypcp.model.ids import Pmid
from pypcp.pmcd.daemon import Daemon
from pypcp.pmcd.options import Options, Places
from pypcp.pmcd.security import Security
from pypcp.pmcd.selfmetrics import zone
from pypcp.pmda.agent import Agent
from pypcp.pmda.testing import AgentTester
from pypcp.wire.versions import Channel


def asked(daemon: Daemon) -> AgentTester:
    agent = daemon.router.routes[2].agent  # type: ignore[attr-defined]
    assert isinstance(agent, Agent)
    return AgentTester(agent)


def daemon_with(**places: Path) -> Daemon:
    return Daemon(Options(places=Places(**places)))


@pytest.fixture
def daemon() -> Daemon:
    return Daemon(Options())


@pytest.fixture
def pmcd(daemon: Daemon) -> AgentTester:
    return asked(daemon)


def test_every_metric_has_a_value_of_its_type_or_none_now_and_both_texts(pmcd: AgentTester) -> None:
    found = pmcd.fetch_all()
    assert len(found) > 110
    assert {name: value for name, value in found.items() if isinstance(value, Exception)} == {}
    for name in found:
        assert pmcd.help(name)
        assert len(pmcd.help(name, oneline=True)) < 72


def test_what_stock_does_not_have_is_in_a_cluster_that_stock_does_not_use(pmcd: AgentTester) -> None:
    beyond = [name for name in pmcd.names() if pmcd.pmid(name).cluster > 8]
    assert beyond
    assert all(name.startswith("pmcd.agent.") for name in beyond)


def test_pdus_are_counted_by_type_with_the_total_among_them(daemon: Daemon, pmcd: AgentTester) -> None:
    daemon.statistics.pdu_in[0x0A] = 3
    daemon.statistics.pdu_out[0x17] = 4
    daemon.statistics.pdu_out[0x10] = 2
    assert pmcd.fetch("pmcd.pdu_in.control_req") == 3
    assert pmcd.fetch("pmcd.pdu_in.total") == 3
    assert pmcd.fetch("pmcd.pdu_out.descs") == 4
    assert pmcd.fetch("pmcd.pdu_out.pmns_traverse") == 2
    assert pmcd.fetch("pmcd.pdu_out.total") == 6


def test_pdu_counters_wrap_as_32_bit_counters_do(daemon: Daemon, pmcd: AgentTester) -> None:
    daemon.statistics.pdu_in[3] = 2**32 + 5
    assert pmcd.fetch("pmcd.pdu_in.fetch") == 5
    assert pmcd.fetch("pmcd.pdu_in.total") == 5


def test_the_process_is_this_one(pmcd: AgentTester) -> None:
    assert pmcd.fetch("pmcd.pid") == os.getpid()
    assert pmcd.fetch("pmcd.simabi") == os.uname().machine
    assert isinstance(pmcd.fetch("pmcd.datasize"), int)


def test_openfds_is_the_highest_descriptor_that_a_peer_has_had(daemon: Daemon, pmcd: AgentTester) -> None:
    daemon.channels.add(40, Channel())
    assert pmcd.fetch("pmcd.openfds") == 40
    daemon.channels.add(7, Channel())
    daemon.channels.reset(40)
    assert pmcd.fetch("pmcd.openfds") == 40


def test_processor_time_is_counted_since_the_last_fetch_of_the_same_client(daemon: Daemon, pmcd: AgentTester) -> None:
    one, other = pmcd.client(), pmcd.client()
    daemon.statistics.pdu_in[3] = 1000
    since_start = pmcd.fetch("pmcd.cputime.per_pdu_in", client=one)
    total_ms = pmcd.fetch("pmcd.cputime.total")
    assert isinstance(since_start, float)
    assert isinstance(total_ms, int)
    assert since_start == pytest.approx(total_ms, rel=0.1)  # ms / 1000 PDUs are us / PDU
    daemon.statistics.pdu_in[3] += 1_000_000
    again = pmcd.fetch("pmcd.cputime.per_pdu_in", client=one)
    assert isinstance(again, float)
    assert again < since_start / 100
    assert pmcd.fetch("pmcd.cputime.per_pdu_in", client=other) > again  # type: ignore[operator]


def test_no_buffer_is_ever_pooled(pmcd: AgentTester) -> None:
    sizes = ["0012", "0020", "1024", "2048", "4196", "8192", "8192+"]
    assert pmcd.fetch("pmcd.buf.alloc") == dict.fromkeys(sizes, 0) == pmcd.fetch("pmcd.buf.free")


# Features


@pytest.fixture
def unix_socket(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        yield sock


def test_features_say_where_the_daemon_listens(daemon: Daemon, pmcd: AgentTester, unix_socket: socket.socket) -> None:
    def told() -> tuple[object, ...]:
        return tuple(pmcd.fetch(f"pmcd.feature.{name}") for name in ("ipv6", "unix_domain_sockets", "local"))

    with socket.create_server(("::1", 0), family=socket.AF_INET6) as here, socket.create_server(("", 0)) as everywhere:
        daemon.listening = [unix_socket]
        assert told() == (0, 1, 1)
        daemon.listening = [here, unix_socket]
        assert told() == (1, 1, 1)
        daemon.listening = [here, everywhere]
        assert told() == (1, 0, 0)


@pytest.mark.parametrize("wanted", [False, True])
def test_features_say_what_the_challenge_insists_on(wanted: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    security = Security(tls=context, strict_tls=context, credentials_required=True) if wanted else Security()
    pmcd = asked(Daemon(Options(), security=security))
    assert pmcd.fetch("pmcd.feature.creds_required") == wanted
    assert pmcd.fetch("pmcd.feature.client_cert_required") == wanted
    assert pmcd.fetch("pmcd.feature.secure") == wanted


# Files of others


def test_pmproxy_is_a_service_while_its_pid_file_names_a_process(tmp_path: Path) -> None:
    pmcd = asked(daemon_with(run=tmp_path))
    assert pmcd.fetch("pmcd.services") == "pmcd"
    (tmp_path / "pmproxy.pid").write_text(f"{os.getpid()}\n")
    assert pmcd.fetch("pmcd.services") == "pmcd pmproxy"
    for nobody in ("", "x", "0", "-1", "999999999"):
        (tmp_path / "pmproxy.pid").write_text(nobody)
        assert pmcd.fetch("pmcd.services") == "pmcd"


def test_loggers_are_those_with_a_file(tmp_path: Path) -> None:
    pmcd = asked(daemon_with(temporary=tmp_path))
    assert pmcd.fetch("pmcd.pmlogger.port") is None or pmcd.fetch("pmcd.pmlogger.port") == {}
    (tmp_path / "pmlogger").mkdir()
    (tmp_path / "pmlogger" / str(os.getpid())).write_text("4330\nfarm\n/var/log/pcp/arch\n")
    (tmp_path / "pmlogger" / "primary").symlink_to(str(os.getpid()))
    me = str(os.getpid())
    assert pmcd.fetch("pmcd.pmlogger.port") == {me: 4330, "primary": 4330}
    assert pmcd.fetch("pmcd.pmlogger.pmcd_host", me) == {me: "farm"}
    assert pmcd.fetch("pmcd.pmlogger.archive", me) == {me: "/var/log/pcp/arch"}
    assert pmcd.fetch("pmcd.pmlogger.host", me) == {me: socket.gethostname()}
    assert pmcd.instances("pmcd.pmlogger.host") == {0: "primary", os.getpid(): me}


def test_inference_engines_are_those_with_a_file(tmp_path: Path) -> None:
    pmcd = asked(daemon_with(temporary=tmp_path))
    (tmp_path / "pmie").mkdir()
    content = struct.pack("=4097s4097s65sxf7I", b"/etc/pmie", b"/var/log/pmie", b"farm", 2.5, 1, 5, 4, 3, 2, 10, 1)
    (tmp_path / "pmie" / str(os.getpid())).write_bytes(content)
    me = str(os.getpid())
    found = {name.removeprefix("pmcd.pmie."): pmcd.fetch(name) for name in pmcd.names("pmcd.pmie")}
    assert found == {
        "configfile": {me: "/etc/pmie"},
        "logfile": {me: "/var/log/pmie"},
        "pmcd_host": {me: "farm"},
        "numrules": {me: 1},
        "actions": {me: 5},
        "eval.true": {me: 4},
        "eval.false": {me: 3},
        "eval.unknown": {me: 2},
        "eval.actual": {me: 10},
        "eval.expected": {me: 2.5},
    }


def test_labels_are_those_of_the_administrators_files(tmp_path: Path) -> None:
    assert asked(daemon_with()).fetch("pmcd.labels") == ""
    (tmp_path / "10-site").write_text('{"site": "lab"}')
    assert asked(daemon_with(labels=tmp_path)).fetch("pmcd.labels") == '{"site":"lab"}'


# Names and zones


def test_the_host_has_the_name_it_is_given_or_its_own() -> None:
    assert asked(Daemon(Options(hostname="given"))).fetch("pmcd.hostname") == "given"
    assert asked(Daemon(Options())).fetch("pmcd.hostname") == socket.gethostname()


def test_the_time_zone_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, pmcd: AgentTester) -> None:
    monkeypatch.setenv("TZ", "Australia/Melbourne")
    assert pmcd.fetch("pmcd.timezone") == "Australia/Melbourne"
    assert pmcd.fetch("pmcd.zoneinfo") == ":Australia/Melbourne"


@pytest.mark.parametrize("value", ["../../../etc/passwd", "/etc/passwd", ":/etc/passwd", "No/Where", "EST5EDT4"])
def test_what_is_no_name_of_a_zone_is_not_told_as_one(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TZ", value)
    monkeypatch.setattr(zone, "_LOCALTIME", Path("/nowhere"))
    monkeypatch.setattr(zone, "_NAMED", Path("/nowhere"))
    assert zone.zoneinfo() == ""


def test_the_time_zone_is_where_localtime_leads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Europe/Vienna")
    monkeypatch.setattr(zone, "_LOCALTIME", link)
    assert zone.zoneinfo() == ":Europe/Vienna"
    link.unlink()
    monkeypatch.setattr(zone, "_NAMED", tmp_path / "timezone")
    (tmp_path / "timezone").write_text("Asia/Tokyo\n")
    assert zone.zoneinfo() == ":Asia/Tokyo"


def test_the_time_zone_has_a_form_that_tz_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    assert re.fullmatch(r"[A-Z+\-0-9]+(-?\d+(:\d\d)?)?", zone.timezone())


# Storing


def test_nothing_but_the_switches_can_be_stored_into(pmcd: AgentTester) -> None:
    root = pmcd.client(uid=0)
    for name in ("pmcd.numclients", "pmcd.pdu_in.error", "pmcd.agent.type", "pmcd.cputime.total"):
        instance = "pmcd" if name.startswith("pmcd.agent") else None
        with pytest.raises(PermissionDenied):
            pmcd.store(name, 1, instance, client=root)


def test_every_switch_refuses_all_but_root(pmcd: AgentTester) -> None:
    switches: dict[str, str | None] = dict.fromkeys([*pmcd.names("pmcd.control"), "pmcd.seqnum"])
    switches |= {"pmcd.control.register": "3", "pmcd.agent.fenced": "pmcd"}
    assert len(switches) == 12
    for client in (pmcd.client(uid=1000), pmcd.client()):
        for name, instance in switches.items():
            with pytest.raises(PermissionDenied):
                pmcd.store(name, 1, instance, client=client)


def test_only_the_sequence_number_counts_what_is_stored_into_it(pmcd: AgentTester) -> None:
    pmcd.store("pmcd.seqnum", 42, client=pmcd.client(uid=0))
    assert pmcd.fetch("pmcd.seqnum") == 2


def test_replacing_limits_leaves_what_is_not_about_exchanges(daemon: Daemon) -> None:
    before = daemon.limits
    assert before.with_exchange_s(7) == replace(before, agent_s=7, pdu_s=7)


def test_identifiers_are_of_domain_2(pmcd: AgentTester) -> None:
    assert {pmcd.pmid(name).domain for name in pmcd.names()} == {2}
    assert pmcd.pmid("pmcd.agent.latency.last") == Pmid.build(2, 100, 2)
