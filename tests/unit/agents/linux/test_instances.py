"""Which instances there are, and the ids they keep."""

import os
from pathlib import Path

import pytest

from linux_trees import ask, recorded
from pypcp.agents.linux import linux_agent
from pypcp.agents.linux.devices import is_disk, is_partition
from pypcp.agents.linux.diskstats import chosen_scheduler
from pypcp.agents.linux.files import KEPT_OPEN
from pypcp.model.ids import InDom

DISKS = """
sda sdaa hdc vda xvda dasda ubda rssda emcpowera nvme0n1 nvme0c0n1 mmcblk0 mmcblk0boot0 nbd0 rbd0 cciss/c0d0 ida/c0d0
etherd/e0.0 sx8/0
"""

OTHERS = """
sda1 sda12 sdaa1 vda1 xvdaa2 nvme0n1p1 nvme10n1p12 mmcblk0p1 mmcblk0boot0p1 nbd0p1 rbd12p3 cciss/c0d0p1 etherd/e0.0p1
loop0 loop7p1 ram0 zram0 dm-0 md0 md127p1 md_d0 sr0 fd0 scd0 drbd0 bcache0 pmem0 zd16
"""


@pytest.mark.parametrize("name", DISKS.split())
def test_whole_disks_are_listed(name: str) -> None:
    assert is_disk(name)


@pytest.mark.parametrize("name", OTHERS.split())
def test_partitions_and_devices_made_of_others_are_not(name: str) -> None:
    assert not is_disk(name)


PARTITIONS = """
sda1 sda12 sdaa1 vda1 xvdaa2 nvme0n1p1 mmcblk0boot0p1 nbd0p1 cciss/c0d0p1 fd0 scd0 drbd0 bcache0p1 pmem0 zd16 mtdblock0
"""


def test_partitions_are_all_that_has_no_other_place() -> None:
    assert [name for name in PARTITIONS.split() if not is_partition(name)] == []
    assert [
        name for name in (*DISKS.split(), "loop0", "ram0", "zram0", "dm-0", "md0", "sr0") if is_partition(name)
    ] == []


def test_volumes_go_by_the_names_they_have_now(tmp_path: Path) -> None:
    names = ["hinv.map.dmname", "hinv.map.mdname"]
    agent = linux_agent(_tree(tmp_path, diskstats=_diskstats("dm-0", "dm-1", "md127", "md_d0")))
    assert ask(agent, names) == {"hinv.map.dmname": None, "hinv.map.mdname": {"md127": "md127"}}
    (tmp_path / "sys/block/dm-1/dm").mkdir(parents=True)
    (tmp_path / "sys/block/dm-1/dm/name").write_text("vg-swap\n")
    (tmp_path / "dev/md").mkdir(parents=True)
    (tmp_path / "dev/md/home").symlink_to("../md127")
    assert ask(agent, names) == {"hinv.map.dmname": {"vg-swap": "dm-1"}, "hinv.map.mdname": {"home": "md127"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("none [mq-deadline] kyber", "mq-deadline"), ("[none]", "none"), ("none", "none"), ("", "unknown")],
)
def test_the_scheduler_is_the_one_in_brackets(text: str, expected: str) -> None:
    assert chosen_scheduler(text) == expected


def _tree(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / "proc" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return directory


def _diskstats(*names: str) -> str:
    return "".join(f"   8       0 {name} {' '.join(map(str, range(1, 12)))}\n" for name in names)


def test_a_disk_keeps_its_id_when_others_come_and_go_and_over_restarts(tmp_path: Path) -> None:
    root, state, disks = tmp_path / "root", tmp_path / "state", InDom.build(60, 1)
    root.mkdir()
    agent = linux_agent(_tree(root, diskstats=_diskstats("sda", "sdb")), state)
    assert agent.instances(disks) == ((0, 1), ("sda", "sdb"))
    _tree(root, diskstats=_diskstats("sdc", "sdb"))
    assert agent.instances(disks) == ((2, 1), ("sdc", "sdb"))
    again = linux_agent(_tree(root, diskstats=_diskstats("sdb", "sda", "sdc")), state)
    assert again.instances(disks) == ((1, 0, 2), ("sdb", "sda", "sdc"))


def test_values_stay_with_their_disks_when_the_order_changes(tmp_path: Path) -> None:
    one, two = (f"   8       0 {name} {reads} 2 3 4 5 6 7 8 9 10 11\n" for name, reads in (("sda", 10), ("sdb", 20)))
    agent = linux_agent(_tree(tmp_path, diskstats=one + two))
    name = "disk.dev.read"
    assert ask(agent, [name]) == {name: {"sda": 10, "sdb": 20}}
    _tree(tmp_path, diskstats=two + one)
    assert ask(agent, [name]) == {name: {"sdb": 20, "sda": 10}}
    _tree(tmp_path, diskstats="")
    assert ask(agent, [name, "hinv.ndisk", "disk.all.read"]) == {name: None, "hinv.ndisk": 0, "disk.all.read": 0}


def test_a_processor_has_the_kernels_number_whatever_is_offline(tmp_path: Path) -> None:
    rows = "".join(f"{cpu} 1 2 3 4 5 6 7 8 9 10\n" for cpu in ("cpu ", "cpu0", "cpu2", "cpu3"))
    agent = linux_agent(_tree(tmp_path, stat=rows))
    assert agent.instances(InDom.build(60, 0)) == ((0, 2, 3), ("cpu0", "cpu2", "cpu3"))


def test_counts_of_interrupts_go_to_the_processor_of_that_name(tmp_path: Path) -> None:
    rows = "".join(f"{cpu} 1 2 3 4 5 6 7 8 9 10\n" for cpu in ("cpu ", "cpu1", "cpu2"))
    table = "           CPU0 CPU2 CPU1\n  1: 10 20 30 chip name\nLOC: 1 2 3 Local timer\n"
    agent = linux_agent(_tree(tmp_path, stat=rows, interrupts=table))
    answers = ask(agent, ["kernel.percpu.cpu.nice", "kernel.percpu.intr", "kernel.percpu.interrupts"])
    assert answers["kernel.percpu.cpu.nice"] == {"cpu1": 20, "cpu2": 20}
    assert answers["kernel.percpu.intr"] == {"cpu1": 33, "cpu2": 22}
    pairs = answers["kernel.percpu.interrupts"]
    assert isinstance(pairs, dict)
    assert (pairs["1::cpu2"], pairs["LOC::cpu1"]) == (20, 3)


def test_load_averages_have_the_ids_that_their_minutes_give_them() -> None:
    assert recorded("linux-4.14").instances(InDom.build(60, 2)) == ((1, 5, 15), ("1 minute", "5 minute", "15 minute"))


def test_instances_are_known_before_any_fetch() -> None:
    agent = recorded("linux-4.14")
    names = {int(serial): agent.instances(InDom.build(60, serial))[1] for serial in (0, 1, 3, 4, 17, 31, 32, 33, 36)}
    assert names[0] == ("cpu0", "cpu1")
    assert names[1] == ("sda", "sdb", "nvme0n1")
    assert names[17] == ("enp3s0f1", "eth0", "lo", "virbr0", "wlan0")
    assert all(names.values())


@pytest.mark.parametrize(("interfaces", "kept"), [(KEPT_OPEN, KEPT_OPEN), (KEPT_OPEN + 1, 0)])
def test_thousands_of_interfaces_do_not_take_thousands_of_descriptors(
    tmp_path: Path, interfaces: int, kept: int
) -> None:
    names = [f"veth{number}" for number in range(interfaces)]
    rows = "".join(f"{name}: {' '.join(['1'] * 16)}\n" for name in names)
    (tmp_path / "proc" / "net").mkdir(parents=True)
    (tmp_path / "proc" / "net" / "dev").write_text(f"heading\nheading\n{rows}")
    for name in names:
        (tmp_path / "sys" / "class" / "net" / name).mkdir(parents=True)
        (tmp_path / "sys" / "class" / "net" / name / "mtu").write_text("1500\n")
    agent = linux_agent(tmp_path)
    assert ask(agent, ["network.interface.mtu"]) == {"network.interface.mtu": dict.fromkeys(names, 1500)}
    links = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    assert len([link for link in links if link.endswith("/mtu")]) == kept
