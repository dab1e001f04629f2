"""Stock's own name space files give the names, identifiers and order that stock's tools list."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import PMDAS, PMNS, StockPmcd, clean_environment, require
from pypcp.ipc.pmns_files import load_name_space
from pypcp.model.ids import is_dynamic_root
from pypcp.pmns.tree import Tree

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def pmcd() -> Iterator[StockPmcd]:
    """pminfo wants a pmcd even where it reads its names from a file."""
    with StockPmcd(("pmcd",)) as daemon:
        yield daemon


def as_stock_lists(pmcd: StockPmcd, path: Path) -> list[str]:
    """All of `pminfo -m` for a file, except the derived metrics that it adds (domain 511)."""
    environment = clean_environment(PCP_DERIVED_CONFIG="")
    command = ["pminfo", "-h", pmcd.unix, "-n", str(path), "-m"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=path.parent, timeout=30)
    assert run.returncode == 0, run.stderr
    return [line for line in run.stdout.splitlines() if " PMID: 511." not in line]


def as_we_list(tree: Tree) -> list[str]:
    def shown(pmid):
        return f"{pmid.cluster}.*.*" if is_dynamic_root(pmid) else str(pmid)

    return [f"{name} PMID: {shown(pmid)}" for name, pmid in tree.traverse()]


def test_the_installed_name_space_is_read_as_stock_reads_it(pmcd):
    path = Path(PMNS, "root")
    require(path.exists(), "stock's name space (Debian package pcp)")
    assert as_we_list(load_name_space(path)) == as_stock_lists(pmcd, path)


@pytest.mark.parametrize("path", sorted(Path(PMDAS).glob("*/root")) or [Path(PMDAS, "sample", "root")], ids=str)
def test_every_agents_name_space_is_read_as_stock_reads_it(pmcd, path):
    require(path.exists(), "stock's agents (Debian package pcp)")
    assert as_we_list(load_name_space(path, include_dirs=[PMNS])) == as_stock_lists(pmcd, path)


def test_aliases_are_listed_in_stocks_order(tmp_path):
    path = tmp_path / "names"
    path.write_text("root {\n a 1:2:3\n b\n c 1:2:3\n zz\n}\nzz {\n q 1:2:3\n}\nb {\n x 1:2:3\n y 1:2:4\n}\n")
    require(Path("/usr/lib/python3/dist-packages/pcp/pmapi.py").exists(), "stock's Python (Debian package python3-pcp)")
    program = (
        "import sys, cpmapi; from pcp import pmapi\n"
        "context = pmapi.pmContext(cpmapi.PM_CONTEXT_LOCAL)\n"
        "context.pmLoadNameSpace(sys.argv[1]); print(*context.pmNameAll(1 << 22 | 2 << 10 | 3))"
    )
    command = ["/usr/bin/python3", "-c", program, str(path)]
    environment = clean_environment()
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30)
    assert run.stdout.split() == load_name_space(path).names(1 << 22 | 2 << 10 | 3), run.stderr
