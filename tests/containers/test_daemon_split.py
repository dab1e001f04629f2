"""The helper starts the daemon: under its own account, with no way back, and again when it dies."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.served import Helper, gone, open_folder, status, until
from peers import require

pytestmark = [pytest.mark.interop, pytest.mark.slow]
PYTHON = "/usr/bin/python3"
"""One that every account may execute; the tests' own may lie in somebody's home."""
PACKAGES = str(Path(sys.modules["pypcp"].__file__ or "").parents[1])

DAEMON = f"""
import json, os, sys, time
sys.path.insert(0, {PACKAGES!r})
from pypcp.pmda.rootclient import RootClient
tried = {{}}
for call in (os.setuid, os.seteuid, os.setgid):
    try:
        call(0)
        tried[call.__name__] = "root"
    except PermissionError:
        tried[call.__name__] = "refused"
client = RootClient(sys.argv[1])
agent = client.process_start("cat", "/bin/cat")
os.write(agent.stdin, b"hello")
facts = {{"pid": os.getpid(), "said": os.read(agent.stdout, 10).decode(), "agent": agent.pid, **tried}}
print(json.dumps(facts), flush=True)
time.sleep(1000)
"""


class Split(Helper):
    """A helper that is given a daemon to keep."""

    def command(self) -> list[str]:
        daemon = self.folder / "daemon.py"
        daemon.write_text(DAEMON)
        daemon.chmod(0o644)
        words = ["--daemon-account", "daemon", "--", PYTHON, "-I", str(daemon), str(self.socket)]
        return [*super().command(), *words]

    def facts(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]


@pytest.fixture
def helper() -> Iterator[Split]:
    require(os.geteuid() == 0, "root, to give it up")
    code = f"import sys; sys.path.insert(0, {PACKAGES!r}); import pypcp.pmda.rootclient"
    tried = subprocess.run([PYTHON, "-I", "-c", code], user="daemon", capture_output=True)
    require(tried.returncode == 0, f"a {PYTHON} of 3.11 or later, and sources that every account may read")
    with open_folder() as folder:
        split = Split(folder, agents="cat 150 pipe binary /bin/cat\n")
        folder.chmod(0o755)
        with split:
            until(split.facts, "the daemon's word")
            yield split


def test_the_daemon_runs_as_its_account_and_cannot_get_back(helper: Split) -> None:
    [facts] = helper.facts()
    assert {facts[name] for name in ("setuid", "seteuid", "setgid")} == {"refused"}
    assert facts["said"] == "hello"
    seen = status(int(str(facts["pid"])))
    assert "0" not in seen["Uid"].split() + seen["Gid"].split()
    assert seen["CapEff"] == seen["CapPrm"] == "0" * 16
    assert seen["NoNewPrivs"] == "1"


def test_a_daemon_that_dies_is_started_again_and_its_agents_are_ended(helper: Split) -> None:
    [facts] = helper.facts()
    os.kill(int(str(facts["pid"])), signal.SIGKILL)
    until(lambda: len(helper.facts()) == 2, "another daemon")
    until(lambda: gone(int(str(facts["agent"]))), "the end of the first one's agent")


def test_the_daemon_outlives_the_starter_and_may_still_start_agents(helper: Split) -> None:
    [facts] = helper.facts()
    victim = helper.starter
    os.kill(victim, signal.SIGKILL)
    until(lambda: gone(victim) and helper.log.count("resolver-ready") == 2, "a new starter")
    assert not gone(int(str(facts["pid"])))
    assert not gone(int(str(facts["agent"])))
    os.kill(int(str(facts["pid"])), signal.SIGKILL)
    until(lambda: len(helper.facts()) == 2, "another daemon, which could start its agent")


def test_the_end_of_the_helper_is_the_end_of_the_daemon(helper: Split) -> None:
    [facts] = helper.facts()
    helper.process.terminate()
    until(lambda: gone(int(str(facts["pid"]))), "the end of the daemon")
