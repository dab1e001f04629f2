"""`pypcp pmcd`: what its options and its files may say."""

import os
from pathlib import Path

import pytest

from pypcp.tools.main import main
from pypcp.tools.pmcd_options import parser


@pytest.mark.parametrize(
    "words",
    [
        "-p abc",
        "-p 0",
        "-p 44321,",
        "-p 99999999999",
        "-L 5",
        "-L -1",
        "-t -5",
        "-q 0",
        "-q nan",
        "-C 0",
        "-M x",
        "-M 1.5",
    ],
)
def test_a_number_that_makes_no_sense_is_an_error_in_use(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["-f", *words.split()])
    assert ended.value.code == 2
    assert words.split()[1] in capsys.readouterr().err


def test_ports_are_told_in_lists_and_more_than_once() -> None:
    assert parser().parse_args(["-p", "1,2", "-p", "3"]).port == [(1, 2), (3,)]


def test_a_port_of_the_environment_that_is_none_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PMCD_PORT", "abc")
    assert main(["pmcd", "-f", "-s", str(tmp_path / "socket")]) == 1
    assert "'abc' is no list of ports" in capsys.readouterr().err


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of configuration, where all is well."""
    for name in [name for name in os.environ if name.startswith("PCP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "pcp.conf").write_text(f"PCP_SYSCONF_DIR={tmp_path}\n")
    monkeypatch.setenv("PCP_CONF", str(tmp_path / "pcp.conf"))
    monkeypatch.setenv("PMNS_DEFAULT", str(tmp_path / "names"))
    (tmp_path / "pmcd").mkdir()
    (tmp_path / "pmcd/pmcd.conf").write_text('[access]\nallow "127.0.0.1" : all;\n')
    (tmp_path / "names").write_text("root {\n    a 1:2:3\n}\n")
    return tmp_path


def test_verifying_reads_all_that_a_start_would_read(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pmcd", "-v"]) == 0
    for name, text in (("pmcd/pmcd.conf", "x"), ("names", "root {"), ("tls.conf", "nonsense = 1\n")):
        before = (files / name).read_text() if (files / name).exists() else ""
        (files / name).write_text(text)
        assert main(["pmcd", "-v"]) == 1
        assert f"{files / name}:1" in capsys.readouterr().err
        (files / name).write_text(before)
