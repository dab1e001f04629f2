"""The files of contrib/systemd, which nobody runs here: what can be known of them without systemd."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from peers import require
from pypcp.root.policy import load

UNITS = Path(__file__).parents[2] / "contrib" / "systemd"


def settings(name: str) -> dict[str, str]:
    """Each setting of a unit with its last value."""
    lines = (UNITS / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_the_helpers_policy_is_one_and_names_the_collectors_unit_and_account(tmp_path: Path) -> None:
    policy = tmp_path / "root.toml"
    policy.write_text((UNITS / "root.toml").read_text())
    policy.chmod(0o600)
    found = load(str(policy), os.geteuid())
    collector = settings("pypcp.service")
    assert found.control_unit == "pypcp.service"
    assert found.lookup_accounts == (collector["User"],)
    assert settings("pypcp-helper.socket")["SocketGroup"] == collector["User"]
    assert f"u {collector['User']} " in (UNITS / "pypcp.sysusers").read_text()


def test_the_collector_is_told_where_the_helper_listens() -> None:
    where = settings("pypcp-helper.socket")["ListenStream"]
    assert f"PMDA_ROOT_SOCKET={where}" in (UNITS / "pypcp.service").read_text()


def test_the_helper_has_no_mount_name_space_of_its_own() -> None:
    """It serves nobody of another: every setting that makes systemd give it one would shut out all agents."""
    assert not [
        name for name in settings("pypcp-helper.service") if name.startswith(("Private", "Protect", "ReadOnly"))
    ]


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.s[eo][rc][vk]*")))
def test_systemd_has_nothing_to_say_about_a_unit(unit: str) -> None:
    analyze = shutil.which("systemd-analyze")
    require(analyze, "systemd-analyze (Debian package systemd)")
    user = ["--user"] if "user" in unit else []
    done = subprocess.run([str(analyze), *user, "--man=no", "verify", UNITS / unit], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "pypcp" in line and "not executable" not in line]
    assert not said, done.stderr
