"""The errors tool."""

import json

import pytest

from pypcp.tools.errors import main


@pytest.mark.parametrize("argument", ["-12366", "12366", "0xffffcfb2", "PM_ERR_IPC"])
def test_a_code_is_explained_in_whatever_form(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([argument]) == 0
    assert capsys.readouterr().out.endswith("Code: -12366 0xffffcfb2 Text: IPC protocol failure\n")


def test_what_is_no_code_is_named_and_the_rest_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense", "-5"]) == 1
    captured = capsys.readouterr()
    assert "nonsense" in captured.err
    assert "Input/output error" in captured.out


def test_the_list_has_every_constant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-l", "--json"]) == 0
    constants = {entry["constant"] for entry in json.loads(capsys.readouterr().out)}
    assert {"PM_ERR_GENERIC", "PM_ERR_IPC", "PM_ERR_NYI"} <= constants
    assert len(constants) > 60
