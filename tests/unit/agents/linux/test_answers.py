"""What the linux agent makes of the recorded systems: exact values."""

import os
import struct
from pathlib import Path

import pytest

from linux_trees import DATA, Answer, ask, recorded
from pypcp.agents.linux import linux_agent
from pypcp.agents.linux.utmp import RECORD_SIZE, Sessions, parse_utmp
from pypcp.errors import AppVersion

OLD: dict[str, Answer] = {
    "hinv.ncpu": 2,
    "hinv.ndisk": 3,
    "hinv.ninterface": 5,
    "hinv.physmem": 15954,
    "kernel.all.load": {"1 minute": 1.5, "5 minute": 12.25, "15 minute": pytest.approx(0.07)},
    "kernel.all.lastpid": 31415,
    "kernel.all.runnable": 3,
    "kernel.all.nprocs": 1024,
    "kernel.all.uptime": 350735.47,
    "kernel.all.idletime": 1384563.33,
    "kernel.all.intr": 114930548,
    "kernel.all.pswitch": 1990473155,
    "kernel.all.sysfork": 29156,
    "kernel.all.running": 3,
    "kernel.all.blocked": 1,
    "kernel.all.boottime": 1509840000,
    "kernel.all.cpu.user": 22553400,
    "kernel.all.cpu.vuser": 22511400,
    "kernel.all.cpu.vnice": 339500,
    "kernel.all.cpu.nice": 341200,
    "kernel.all.cpu.sys": 22903100,
    "kernel.all.cpu.idle": 226255630,
    "kernel.all.cpu.wait.total": 6290100,
    "kernel.all.cpu.irq.hard": 127000,
    "kernel.all.cpu.irq.soft": 456000,
    "kernel.all.cpu.steal": 7890,
    "kernel.all.cpu.guest": 42000,
    "kernel.all.cpu.guest_nice": 1700,
    "kernel.all.cpu.intr": 583000,
    "kernel.percpu.cpu.intr": {"cpu0": 440000, "cpu1": 143000},
    "kernel.percpu.cpu.vuser": {"cpu0": 11293400, "cpu1": 11218000},
    "kernel.all.pressure.cpu.some.avg": None,
    "kernel.all.pressure.cpu.some.total": None,
    "kernel.all.interrupts.errors": 5,
    "kernel.all.interrupts.missed": 7,
    "kernel.all.interrupts.total": {
        "0": 113,
        "8": 1,
        "16": 4294967300,
        "122": 600000,
        "NMI": 207,
        "LOC": 346913578,
        "RES": 200300,
    },
    "kernel.percpu.intr": {"cpu0": 4418774396, "cpu1": 223907103},
    "kernel.percpu.sirq": {"cpu0": 3077999924, "cpu1": 2055434628},
    "kernel.all.entropy.avail": 3456,
    "kernel.all.entropy.poolsize": 4096,
    "kernel.all.pid_max": 65536,
    "kernel.all.nptys": 3,
    "kernel.all.nusers": 0,
    "kernel.uname.release": "4.14.336",
    "kernel.uname.nodename": "old-host",
    "pmda.uname": f"Linux old-host 4.14.336 #1 SMP Wed Jan 10 12:00:00 UTC 2024 {os.uname().machine}",
    "hinv.nnode": 2,
    "hinv.node.online": {"node0": 1, "node1": 1},
    "hinv.map.cpu_num": {"cpu0": 0, "cpu1": 1},
    "hinv.map.cpu_node": {"cpu0": 0, "cpu1": 1},
    "hinv.cpu.online": {"cpu0": 1, "cpu1": 1},
    "hinv.hugepagesize": 2097152,
    "mem.numa.alloc.hit": {"node0": 1001, "node1": 2001},
    "mem.numa.alloc.other_node": {"node0": 56, "node1": 57},
    "kernel.uname.distro": "CentOS Linux release 7.9.2009 (AltArch)",
    "mem.physmem": 16336980,
    "mem.util.used": 15233664,
    "mem.util.other": 5516644,
    "mem.util.cache_clean": 9202312,
    "mem.util.active_anon": 2810400,
    "mem.util.hugepagesRsvd": 1,
    "mem.util.hugepagesRsvdBytes": 2097152,
    "mem.util.quicklists": None,
    "mem.vmstat.nr_slab": 2343,
    "mem.vmstat.pgsteal_total": 3015,
    "mem.vmstat.pgscan_direct_total": 1525,
    "mem.vmstat.pgalloc_high": None,
    "swap.length": 8455712768,
    "swap.used": 17825792,
    "swap.free": 8437886976,
    "swap.pagesin": 4294961350,
    "swapdev.free": {"/dev/sda3": 8240124, "/swap.img": 2097048},
    "swapdev.priority": {"/dev/sda3": -2, "/swap.img": 10},
    "vfs.files.count": 2112,
    "vfs.files.max": 781250,
    "vfs.dentry.free": 54321,
    "vfs.aio.count": 12,
    "vfs.locks.posix.count": 4,
    "vfs.locks.flock.write": 1,
    "vfs.locks.lease.count": 2,
    "network.sockstat.total": 1234,
    "network.sockstat.tcp.tw": 789,
    "network.sockstat.frag6.memory": 8192,
    "mem.zoneinfo.free": {
        "DMA::node0": 15900,
        "DMA32::node0": 1920000,
        "Normal::node0": 6000000,
        "Normal::node1": 8000000,
    },
    "mem.zoneinfo.nr_mapped": {"node0": 159052, "node1": 80000052},
    "mem.ksm.run_state": 1,
    "mem.ksm.sleep_time": 20,
    "disk.dev.read": {"sda": 446216, "sdb": 100, "nvme0n1": 900000},
    "disk.dev.aveq": {"sda": 23705160, "sdb": 4, "nvme0n1": 360000},
    "disk.dev.total_rawactive": {"sda": 23692690, "sdb": 14, "nvme0n1": 360000},
    "disk.dev.write_bytes": {"sda": 2961026, "sdb": 1, "nvme0n1": 32000000},
    "disk.dev.discard": {"sda": 0, "sdb": 0, "nvme0n1": 0},
    "disk.dev.inflight": {"sda": 0, "sdb": 2, "nvme0n1": 1},
    "disk.dev.capacity": {"sda": 488386584, "sdb": 10485760, "nvme0n1": 1000204632},
    "disk.dev.scheduler": {"sda": "cfq", "sdb": "none", "nvme0n1": "none"},
    "disk.partitions.read": {"sda1": 35486, "nvme0n1p1": 10},
    "disk.partitions.capacity": {"sda1": 524288, "nvme0n1p1": 1000203608},
    "disk.dm.read": {"vg-root": 500},
    "disk.dm.read_bytes": {"vg-root": 2000},
    "disk.dm.aveq": {"vg-root": 550},
    "disk.dm.capacity": {"vg-root": 52428800},
    "hinv.map.dmname": {"vg-root": "dm-0"},
    "disk.md.write": {"home": 40},
    "hinv.map.mdname": {"home": "md0"},
    "disk.all.total_bytes": 2223220019,
    "disk.all.aveq": 24065164,
    "network.interface.in.bytes": {
        "lo": 1234567,
        "eth0": 18446744073709551615,
        "enp3s0f1": 100,
        "wlan0": 900,
        "virbr0": 50,
    },
    "network.interface.total.bytes": {
        "lo": 2469134,
        "eth0": 6999999999,
        "enp3s0f1": 300,
        "wlan0": 1700,
        "virbr0": 110,
    },
    "network.interface.mtu": {"lo": 65536, "eth0": 1500, "enp3s0f1": 9000, "wlan0": 1500, "virbr0": 1500},
    "network.interface.speed": {"eth0": pytest.approx(119.20929), "enp3s0f1": pytest.approx(11.920929)},
    "network.interface.baudrate": {"eth0": 125000000, "enp3s0f1": 12500000},
    "network.interface.duplex": {"eth0": 2, "enp3s0f1": 1},
    "network.interface.up": {"lo": 1, "eth0": 1, "enp3s0f1": 1, "wlan0": 0, "virbr0": 1},
    "network.interface.running": {"lo": 1, "eth0": 1, "enp3s0f1": 1, "wlan0": 0, "virbr0": 0},
    "network.interface.wireless": {"lo": 0, "eth0": 0, "enp3s0f1": 0, "wlan0": 1, "virbr0": 0},
    "network.interface.virtual": {"lo": 1, "eth0": 0, "enp3s0f1": 0, "wlan0": 0, "virbr0": 1},
    "network.interface.type": {"lo": 772, "eth0": 1, "enp3s0f1": 1, "wlan0": 1, "virbr0": 1},
    "network.interface.ipv6_addr": {
        "lo": "::1/128",
        "eth0": "fe80::200:ff:fe00:53/64",
        "enp3s0f1": "fe80::200:ff:fe00:54/64",
    },
    "network.interface.ipv6_scope": {"lo": "Host", "eth0": "Link", "enp3s0f1": "Link"},
    "network.interface.hw_addr": {
        "lo": "00:00:00:00:00:00",
        "eth0": "00:00:5e:00:53:01",
        "enp3s0f1": "00:00:5e:00:53:02",
        "wlan0": "00:00:5e:00:53:03",
        "virbr0": "00:00:5e:00:53:04",
    },
}

OLDEST: dict[str, Answer] = {
    "pmda.uname": None,
    "hinv.nnode": 1,
    "mem.numa.alloc.hit": None,
    "kernel.all.cpu.guest": 420,
    "kernel.all.cpu.guest_nice": 0,
    "mem.util.highTotal": 1185824,
    "mem.util.available": None,
    "mem.vmstat.allocstall": 500 + 3 * 57,
    "mem.vmstat.pgsteal_total": 4 * 500 + 3 * (40 + 41 + 42 + 43),
    "mem.zoneinfo.scanned": {"DMA::node0": 4 * 4011, "Normal::node0": 4 * 150613, "HighMem::node0": 4 * 75296},
    "mem.zoneinfo.nr_bounce": {"DMA::node0": 4 * 5671, "Normal::node0": 4 * 152273, "HighMem::node0": 4 * 76956},
    "disk.dev.read": {"sda": 19190},
    "disk.all.flush": 0,
}


@pytest.mark.parametrize("name", OLD)
def test_a_4_14_kernel(name: str) -> None:
    assert ask(recorded("linux-4.14"), [name]) == {name: OLD[name]}


@pytest.mark.parametrize("name", OLDEST)
def test_a_2_6_32_kernel(name: str) -> None:
    assert ask(recorded("linux-2.6.32"), [name]) == {name: OLDEST[name]}


def _text(path: str) -> str:
    return (DATA / "linux-6.18" / path).read_text()


def test_a_recorded_kernel_says_what_its_files_say() -> None:
    answers = ask(
        recorded("linux-6.18"),
        ["kernel.all.pressure.cpu.some.avg", "disk.dev.flush", "mem.util.free", "mem.vmstat.nr_mapped", "hinv.ndisk"],
    )
    averages = dict(word.split("=") for word in _text("proc/pressure/cpu").splitlines()[0].split()[1:])
    expected = [float(averages[name]) for name in ("avg10", "avg60", "avg300")]
    vda = next(line.split() for line in _text("proc/diskstats").splitlines() if " vda " in line)
    free = next(line.split()[1] for line in _text("proc/meminfo").splitlines() if line.startswith("MemFree"))
    mapped = next(line.split()[1] for line in _text("proc/vmstat").splitlines() if line.startswith("nr_mapped "))
    assert list(answers) == [
        "kernel.all.pressure.cpu.some.avg",
        "disk.dev.flush",
        "mem.util.free",
        "mem.vmstat.nr_mapped",
        "hinv.ndisk",
    ]
    pressure = answers["kernel.all.pressure.cpu.some.avg"]
    assert isinstance(pressure, dict)
    assert pressure == pytest.approx(dict(zip(("10 second", "1 minute", "5 minute"), expected, strict=True)))
    assert answers["disk.dev.flush"] == {"vda": int(vda[18])}
    assert answers["mem.util.free"] == int(free)
    assert answers["mem.vmstat.nr_mapped"] == int(mapped)
    assert answers["hinv.ndisk"] == 1


def test_zones_without_memory_have_no_values_but_protection() -> None:
    answers = ask(recorded("linux-4.14"), ["mem.zoneinfo.present", "mem.zoneinfo.protection"])
    present, protection = answers.values()
    assert isinstance(present, dict)
    assert isinstance(protection, dict)
    assert not any("Movable" in name for name in present)
    assert protection["Movable::node1::lowmem_reserved3"] == 0
    assert protection["DMA::node0::lowmem_reserved2"] == 31200


def test_free_pieces_of_memory_are_counted_and_weighed() -> None:
    answers = ask(recorded("linux-4.14"), ["mem.buddyinfo.pages", "mem.buddyinfo.total"])
    pages, total = answers.values()
    assert isinstance(pages, dict)
    assert isinstance(total, dict)
    assert (pages["Normal::order9::node1"], total["Normal::order9::node1"]) == (39, 39 * 512 * 4)
    assert len(pages) == 4 * 11


def test_transfers_to_swap_are_not_counted_by_any_kernel_of_today() -> None:
    answers = ask(recorded("linux-6.18"), ["swap.in", "swap.out"])
    assert answers == {"swap.in": AppVersion, "swap.out": AppVersion}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "?"),
        ({"debian_version": "12.11\n"}, "Debian 12.11"),
        ({"lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\n"}, "Ubuntu"),
        ({"SuSE-release": "openSUSE 13\nVERSION = 13\n", "os-release": "PRETTY_NAME=other\n"}, "openSUSE 13"),
        ({"os-release": 'NAME=Arch\nPRETTY_NAME="Arch Linux"\n'}, "Arch Linux"),
    ],
)
def test_the_distribution_is_named_by_the_first_file_that_does(
    tmp_path: Path, files: dict[str, str], expected: str
) -> None:
    (tmp_path / "etc").mkdir()
    for name, text in files.items():
        (tmp_path / "etc" / name).write_text(text)
    assert ask(linux_agent(tmp_path), ["kernel.uname.distro"]) == {"kernel.uname.distro": expected}


def _login(kind: int, user: bytes) -> bytes:
    return struct.pack("=hhi32s4s32s", kind, 0, 1, b"pts/0", b"ts0", user).ljust(RECORD_SIZE, b"\0")


def test_sessions_are_counted_from_login_records() -> None:
    records = [_login(2, b"reboot"), _login(7, b"alice"), _login(7, b"root"), _login(7, b"alice"), _login(8, b"bob")]
    assert parse_utmp(b"".join(records)) == Sessions(users=3, roots=1, records=5)
    assert parse_utmp(b"".join(records)[:-1]).records == 4
    assert parse_utmp(b"") == Sessions(0, 0, 0)
