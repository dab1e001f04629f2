"""The labels of the same files, by stock's pmcd and by us."""

import json
import os
import socket
from pathlib import Path

import pytest

from peers import StockPmcd
from pypcp.ipc.blocking import BlockingStream
from pypcp.model.ids import PM_INDOM_NULL
from pypcp.model.labels import LabelSet, LabelType
from pypcp.pmcd.context_labels import ContextLabels
from pypcp.wire.handshake import Creds
from pypcp.wire.label import LabelReply, LabelRequest
from pypcp.wire.pdu import decode, encode

FILES = {
    "labels/10": '{"site":"lab","empty":{},"rack":{"row":3,"slot":"b"},"tags":["x","y"],'
    '"hostname":"no","n":null,"t":true}',
    "labels/20.json": '{"site":"other","quoted":"a \\"b\\" c"}',
    "labels/30": "{broken",
    "labels/40": '{"1st":"no name"}',
    "labels/.hidden": '{"hidden":1}',
    "labels/optional/a": '{"note":"temp","t":false}',
}
SETTINGS = {"plain": "", "hashed": "[global]\nmachineid_hash = sha256\n"}


class Labelled(StockPmcd):
    """Stock's pmcd with a configuration directory of its own."""

    def __init__(self, config: Path) -> None:
        super().__init__(("pmcd",))
        self._config = config

    def environment(self) -> dict[str, str]:
        return super().environment() | {"PCP_SYSCONF_DIR": str(self._config)}


def labels_of(daemon: Labelled) -> LabelSet:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(daemon.socket))
    with BlockingStream(sock) as stream:
        stream.receive(5)
        stream.send(encode(Creds()))
        stream.send(encode(LabelRequest(PM_INDOM_NULL, LabelType.CONTEXT)))
        reply = decode(stream.receive(5))
        assert isinstance(reply, LabelReply)
        return reply.sets[0]


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_same_bytes_and_the_same_index(tmp_path: Path, setting: str) -> None:
    for name, content in {**FILES, "labels.conf": setting}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    with Labelled(tmp_path) as daemon:
        theirs = labels_of(daemon)
    ours = ContextLabels(tmp_path / "labels", tmp_path / "labels.conf").of(
        os.uname().nodename, uid=os.geteuid(), gid=os.getegid()
    )
    assert json.loads(ours.json) == json.loads(theirs.json)
    assert ours.json == theirs.json
    assert list(ours.labels) == list(theirs.labels)
