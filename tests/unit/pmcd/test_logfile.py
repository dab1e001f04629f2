"""pmcd.log: lines as stock's pmcd was seen to write them."""

import io
import json
import logging
import time
from collections.abc import Iterator

import pytest

from pypcp.pmcd import logfile
from pypcp.pmcd.access import AccessRules, Connections
from pypcp.pmcd.access_statements import Operation

AGENTS = """
active agent dom   pid  in out ver protocol parameters
============ === ===== === === === ======== ==========
root           1  3927           2 bin pipe cmd=/var/lib/pcp/pmdas/root/pmdaroot
pmcd           2                 2 dso i:6  lib=/var/lib/pcp/pmdas/pmcd/pmda_pmcd.so entry=pmcd_init [0x7fafcb2c9b90]
proc           3  3928           2 bin pipe cmd=/var/lib/pcp/pmdas/proc/pmdaproc -d 3
external      36    -1           2 bin sock dom=inet port=5678
pipe          33 27202           2 bin pipe cmd=/usr/bin/sample -d 33 "x y"  z\\"q"""

PORTS = """\
pmcd request port(s):
  sts fd   port  family address
  === ==== ===== ====== =======
  ok     4       unix   /run/pcp/pmcd.socket
  ok     0 44321 inet   INADDR_ANY
  ok     3 44321 ipv6   INADDR_ANY"""

RESTARTED = """

pmcd RESTARTED at Sat Nov 21 08:23:08 2026


Current PMCD clients ...
     fd  client connection from                    ipc ver  operations denied
     ==  ========================================  =======  =================
      7  /tmp/dp/sock                                    2  store 
      8  192.0.2.1                                       2  
"""  # noqa: W291 - so does stock


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


WHEN = 1795249388.0


def test_the_log_begins_and_ends_with_the_host_and_the_time() -> None:
    assert logfile.started("vm", WHEN) == "Log for pmcd on vm started Sat Nov 21 08:23:08 2026\n"
    assert logfile.finished(WHEN) == "\nLog finished Sat Nov 21 08:23:08 2026"


def test_agents_are_shown_as_stock_shows_them() -> None:
    rows = [
        logfile.AgentRow("root", 1, logfile.pipe(["/var/lib/pcp/pmdas/root/pmdaroot"]), 3927),
        logfile.AgentRow(
            "pmcd", 2, logfile.dso("/var/lib/pcp/pmdas/pmcd/pmda_pmcd.so", "pmcd_init", 6, 0x7FAFCB2C9B90)
        ),
        logfile.AgentRow("proc", 3, logfile.pipe(["/var/lib/pcp/pmdas/proc/pmdaproc", "-d", "3"]), 3928),
        logfile.AgentRow("external", 36, logfile.socket("inet", 5678), -1),
        logfile.AgentRow("pipe", 33, logfile.pipe(["/usr/bin/sample", "-d", "33", "x y", "", 'z"q']), 27202),
    ]
    assert logfile.agent_table(rows) == AGENTS


def test_ports_are_shown_as_stock_shows_them() -> None:
    rows = [
        logfile.PortRow(4, "unix", "/run/pcp/pmcd.socket"),
        logfile.PortRow(0, "inet", "INADDR_ANY", 44321),
        logfile.PortRow(3, "ipv6", "INADDR_ANY", 44321),
    ]
    assert logfile.port_table(rows) == PORTS


def test_without_access_control_the_tables_say_so() -> None:
    assert logfile.access_tables(AccessRules(), Connections()).splitlines() == [
        "",
        "Host access list empty: host-based access control turned off",
        "User access list empty: user-based access control turned off",
        "Group access list empty: group-based access control turned off",
    ]


def test_a_reload_shows_the_clients() -> None:
    clients = [
        logfile.ClientRow(7, "/tmp/dp/sock", 2, Operation.STORE),
        logfile.ClientRow(8, "192.0.2.1", 2, Operation(0)),
    ]
    assert logfile.restarted(WHEN, clients) == RESTARTED


def written(*, structured: bool, **record: object) -> str:
    stream = io.StringIO()
    made = logfile.handler(stream, structured=structured)
    made.handle(logging.makeLogRecord({"name": "pypcp.pmcd", "created": WHEN + 0.25, "levelno": 30, **record}))
    return stream.getvalue()


def test_a_line_has_the_time_the_process_and_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 4711)
    line = written(structured=False, levelname="WARNING", msg="no %s", args=("agent",))
    assert line == "[Sat Nov 21 08:23:08] pmcd(4711) Warning: no agent\n"


def test_what_a_peer_sends_cannot_fake_a_line_or_move_the_cursor() -> None:
    line = written(structured=False, levelname="INFO", msg="client %s", args=("x\n[Sat] pmcd(1) Info: \x1b[2J\r",))
    assert "\n    [Sat] pmcd(1) Info: \\x1b[2J\\x0d\n" in line


def test_a_block_stands_as_it_is() -> None:
    log = logging.Logger("test")
    stream = io.StringIO()
    log.addHandler(logfile.handler(stream))
    logfile.block(log, "ports", f"100% {PORTS}")
    assert stream.getvalue() == f"100% {PORTS}\n"


def test_a_structured_log_has_an_object_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 4711)
    line = written(structured=True, levelname="ERROR", msg="a\n%d", args=(3,))
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "time": "2026-11-21T08:23:08.250Z",
        "level": "error",
        "pid": 4711,
        "logger": "pypcp.pmcd",
        "message": "a\n3",
    }


def test_a_structured_log_has_the_fields_of_an_event_instead_of_its_text() -> None:
    log = logging.Logger("test")
    stream = io.StringIO()
    log.addHandler(logfile.handler(stream, structured=True))
    logfile.block(log, "agent_ended", "Cleanup ...", agent="pipe", domain=33)
    found = json.loads(stream.getvalue())
    assert (found["event"], found["agent"], found["domain"]) == ("agent_ended", "pipe", 33)
    assert "message" not in found


@pytest.mark.parametrize("structured", [True, False])
def test_a_traceback_is_part_of_its_line(structured: bool) -> None:
    log = logging.Logger("test")
    stream = io.StringIO()
    log.addHandler(logfile.handler(stream, structured=structured))
    try:
        raise ValueError("what")
    except ValueError:
        log.exception("it failed")
    assert "ValueError: what" in stream.getvalue()
    assert sum(line[:1] not in (" ", "") for line in stream.getvalue().splitlines()) == 1
