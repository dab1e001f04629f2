"""Context labels: files, host, client; the bytes that stock's pmcd was seen to send."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pypcp.model.labels import LabelSet, LabelType
from pypcp.pmcd.context_labels import CHECK_S, ContextLabels

CONTEXT, COMPOUND, OPTIONAL = LabelType.CONTEXT, LabelType.COMPOUND, LabelType.OPTIONAL


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def folder(root: Path, files: Mapping[str, object]) -> Path:
    """A folder ``labels`` with JSON in files."""
    for name, content in files.items():
        path = root / "labels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return root / "labels"


def values(labels: LabelSet) -> dict[str, object]:
    return dict(json.loads(labels.json))


def flags(labels: LabelSet) -> dict[str, LabelType]:
    return {labels.json[label.name : label.name + label.name_length].decode(): label.flags for label in labels.labels}


def user(tmp_path: Path, files: Mapping[str, object]) -> dict[str, object]:
    return dict(json.loads(ContextLabels(folder(tmp_path, files)).user_json))


def test_files_host_and_client_make_the_set_that_stock_sends(tmp_path: Path) -> None:
    directory = folder(
        tmp_path,
        {
            "10": {"site": "lab", "rack": {"row": 3, "slot": "b"}, "tags": ["x", "y"]},
            "optional/20": {"note": "temp"},
        },
    )
    found = ContextLabels(directory).of("vm", uid=0, gid=0)
    told = values(found)
    # What the machine itself says, which on a new one may be nothing.
    machine = "".join(f'"{name}":"{told[name]}",' for name in ("machineid",) if name in told)
    assert found.json.decode() == (
        f'{{"domainname":"{told["domainname"]}","groupid":0,"hostname":"vm",{machine}'
        '"note":"temp","rack.row":3,"rack.slot":"b","site":"lab","tags":["x","y"],"userid":0}'
    )
    assert flags(found) == {
        "domainname": CONTEXT,
        "groupid": CONTEXT | OPTIONAL,
        "hostname": CONTEXT,
        **({"machineid": CONTEXT} if machine else {}),
        "note": CONTEXT | COMPOUND | OPTIONAL,
        "rack.row": CONTEXT | COMPOUND,
        "rack.slot": CONTEXT | COMPOUND,
        "site": CONTEXT | COMPOUND,
        "tags": CONTEXT | COMPOUND,
        "userid": CONTEXT | OPTIONAL,
    }


def test_names_and_values_are_where_the_index_says(tmp_path: Path) -> None:
    found = ContextLabels(folder(tmp_path, {"1": {"ä_is_no_name": 1}, "2": {"a": "é"}})).of("vm")
    assert "a" in values(found)
    for label in found.labels:
        name = found.json[label.name : label.name + label.name_length].decode()
        assert json.loads(found.json[label.value : label.value + label.value_length]) == values(found)[name]


def test_a_later_file_overrides_and_optional_ones_come_last(tmp_path: Path) -> None:
    files = {"b": {"x": 2, "y": 2}, "a": {"x": 1, "z": 1}, "optional/a": {"y": 3}, ".hidden": {"x": 4}}
    assert user(tmp_path, files) == {"x": 2, "y": 3, "z": 1}


def test_the_host_itself_cannot_be_overridden_by_a_file(tmp_path: Path) -> None:
    labels = ContextLabels(folder(tmp_path, {"a": {"hostname": "evil", "userid": 0}}))
    found = values(labels.of("vm", uid=7))
    assert (found["hostname"], found["userid"]) == ("vm", 7)
    assert json.loads(labels.user_json) == {"hostname": "evil", "userid": 0}


def test_without_files_the_daemon_has_no_labels_of_its_own(tmp_path: Path) -> None:
    assert ContextLabels(None).user_json == ContextLabels(tmp_path / "none").user_json == ""


def test_a_client_without_account_or_container_has_no_labels_of_them(tmp_path: Path) -> None:
    labels = ContextLabels(None)
    assert values(labels.of("vm")).keys() <= {"domainname", "hostname", "machineid"}
    assert flags(labels.of("vm", container='x","evil":"1'))["container"] == CONTEXT
    assert values(labels.of("vm", container='x","evil":"1'))["container"] == 'x","evil":"1'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{bad", "Expecting property name"),
        ("[1]", "it holds a list, not an object"),
        ('{"1x": 1}', "'1x' is no name of a label"),
        ('{"a": NaN}', "Out of range float"),
        ('{"a": ' + "[" * 100000 + "}", "recursion"),
        ("\0", "NUL byte"),
        (json.dumps({f"n{i}": i for i in range(300)}), "300 labels .* must be below"),
        (json.dumps({"a": "x" * 70000}), "70.* bytes, must be below"),
        (json.dumps({"a": "x" * 64000}), "64.* bytes altogether; the limits are"),
    ],
)
def test_a_bad_file_is_skipped_with_its_name_and_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, reason: str
) -> None:
    assert user(tmp_path, {"a": {"good": 1}, "b": content, "c": {"also": 2}}) == {"good": 1, "also": 2}
    (record,) = caplog.records
    assert f"no labels from {tmp_path}/labels/b: " in record.getMessage()
    assert re.search(reason, record.getMessage(), re.IGNORECASE)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    directory = folder(tmp_path, {"a": {"good": 1}})
    os.mkfifo(directory / "fifo")
    (directory / "folder").mkdir()
    assert json.loads(ContextLabels(directory).user_json) == {"good": 1}


def test_a_change_of_a_file_is_seen_once_and_not_looked_for_too_often(tmp_path: Path) -> None:
    clock = Clock()
    directory = folder(tmp_path, {"a": {"x": 1}})
    labels = ContextLabels(directory, now=clock)
    assert values(labels.of("vm"))["x"] == 1
    folder(tmp_path, {"a": {"x": 22}})
    assert not labels.refresh()
    assert values(labels.of("vm"))["x"] == 1
    clock.seconds += CHECK_S
    assert labels.refresh()
    assert values(labels.of("vm"))["x"] == 22
    clock.seconds += CHECK_S
    assert not labels.refresh()


@pytest.mark.parametrize("change", ["a new file", "a new optional file", "a file that went"])
def test_files_that_come_and_go_are_changes(tmp_path: Path, change: str) -> None:
    clock = Clock()
    directory = folder(tmp_path, {"a": {"x": 1}})
    labels = ContextLabels(directory, now=clock)
    if change == "a file that went":
        (directory / "a").unlink()
    else:
        folder(tmp_path, {"optional/b" if "optional" in change else "b": {"y": 1}})
    clock.seconds += CHECK_S
    assert labels.refresh()


def test_the_same_client_gets_the_same_object_until_something_changes(tmp_path: Path) -> None:
    clock = Clock()
    labels = ContextLabels(folder(tmp_path, {"a": {"x": 1}}), now=clock)
    assert labels.of("vm", uid=1) is labels.of("vm", uid=1)
    assert labels.of("vm", uid=1) is not labels.of("vm", uid=2)


def machine_labels(tmp_path: Path, settings: str) -> set[str]:
    (tmp_path / "labels.conf").write_text(settings)
    return {name for name in values(ContextLabels(None, tmp_path / "labels.conf").of("vm")) if "machine" in name}


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ("", "machineid"),
        ("[global]\n#machineid_hash = sha256\n", "machineid"),
        ("[global]\nmachineid_hash = none\n", "machineid"),
        ("[global]\n machineid_hash=sha256 # why\n", "machineid_sha256"),
        ("[global]\nmachineid_hash = md5\n", "machineid_sha256"),
        ("what is this", "machineid_sha256"),
    ],
)
def test_the_machines_identifier_can_be_hashed_and_is_when_in_doubt(tmp_path: Path, settings: str, label: str) -> None:
    machine = Path("/etc/machine-id")
    expected = {label} if machine.exists() and machine.read_text().strip() else set()
    assert machine_labels(tmp_path, settings) == expected


def test_the_hash_is_the_one_stock_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "id").write_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    (tmp_path / "labels.conf").write_text("machineid_hash = sha256")
    monkeypatch.setattr("pypcp.pmcd.context_labels._MACHINE_ID", tmp_path / "id")
    found = values(ContextLabels(None, tmp_path / "labels.conf").of("vm"))
    assert found["machineid_sha256"] == "0035969ec53f6e7f0fb40f08cc9ed4783aa99c2000cf1ebe4187c10dd0d8370f"
