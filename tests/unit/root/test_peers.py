"""Whose control group makes a process the main one of a unit of the system."""

import pytest

from pypcp.root.peers import in_system_unit

UNIT = "pmcd.service"


@pytest.mark.parametrize(
    "groups",
    [
        "0::/system.slice/pmcd.service\n",
        "12:memory:/\n1:name=systemd:/system.slice/pmcd.service\n0::/system.slice/pmcd.service\n",
        "9:name=systemd:/system.slice/pmcd.service\n",
        "0::/system.slice/system-pmcd.slice/pmcd.service\n",
        "0::/monitoring.slice/pmcd.service\n",
        "0::/pmcd.service\n",
    ],
)
def test_a_unit_stands_beneath_the_systems_slices(groups: str) -> None:
    assert in_system_unit(groups, UNIT)


@pytest.mark.parametrize(
    "groups",
    [
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/pmcd.service\n",
        "0::/user.slice/pmcd.service\n",
        "0::/user.slice/user-1000.slice/pmcd.service\n",
        "0::/system.slice/other.service/pmcd.service\n",
        "0::/system.slice/other.service/a.slice/pmcd.service\n",
        "0::/machine.slice/machine-x.scope/system.slice/pmcd.service\n",
        "0::/../system.slice/pmcd.service\n",
        "0::/system.slice/pmcd.service/inner\n",
        "0::/system.slice/notpmcd.service\n",
        "0::/system.slice/pmcdxservice\n",
        "4:memory:/system.slice/pmcd.service\n0::/\n",
        "1:name=other:/system.slice/pmcd.service\n",
        "0::/user.slice/x\x0c0::/system.slice/pmcd.service\n",
        "0::/user.slice/x\r0::/system.slice/pmcd.service\n",
        "0::/user.slice/x\u20280::/system.slice/pmcd.service\n",
        "",
    ],
)
def test_what_an_account_may_have_named_so_is_no_unit_of_the_systems(groups: str) -> None:
    assert not in_system_unit(groups, UNIT)
