"""The package: its public names, its modules one by one, its layers, its documents."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pypcp

ROOT = Path(__file__).parent.parent.parent
MODULES = [module.name for module in pkgutil.walk_packages(pypcp.__path__, "pypcp.") if "__main__" not in module.name]


@pytest.mark.parametrize("name", [name for name in pypcp.__all__ if name != "__version__"])
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(pypcp, name).__name__ == name


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pypcp.nonsense


def test_a_module_of_each_layer_imports_alone() -> None:
    script = "import importlib, sys; importlib.import_module(sys.argv[1])"
    for name in ("pypcp.wire.pdu", "pypcp.pmcd.daemon", "pypcp.pmda.agent", "pypcp.pmapi.context", "pypcp.tools.main"):
        subprocess.run([sys.executable, "-W", "error", "-c", script, name], check=True, timeout=20)


def test_each_module_says_what_it_is_for() -> None:
    assert [name for name in MODULES if not (importlib.import_module(name).__doc__ or "").strip()] == []


def test_a_command_imports_no_more_than_it_needs() -> None:
    script = "import sys, pypcp.tools.main as main; main.main(['--version']); print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], check=True, timeout=20, capture_output=True, text=True)
    loaded = [name for name in run.stdout.split() if name.startswith("pypcp.")]
    assert loaded == ["pypcp.tools", "pypcp.tools.main"]


def test_every_command_of_the_readme_is_there_and_every_link_leads_somewhere() -> None:
    from pypcp.tools.main import COMMANDS

    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"`pypcp (\w+)`", readme)) <= set(COMMANDS)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
