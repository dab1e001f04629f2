"""An agent's RESULT that is not what it was asked for."""

import pytest

from pypcp.errors import RemoteProtocolError
from pypcp.model.values import ValueSet, ValueType
from pypcp.wire.pdu import encode
from pypcp.wire.relay import take_apart
from pypcp.wire.result import Result

FAR_OFF = bytes.fromhex("00ffffff")


@pytest.mark.parametrize("metrics", [1, 3])
def test_another_number_of_value_sets_is_refused_before_any_is_looked_at(metrics: int) -> None:
    frame = encode(Result(0, [ValueSet.singular(pmid, 7, ValueType.U32) for pmid in (1, 2)]))
    damaged = frame[:28] + FAR_OFF + frame[32:]
    with pytest.raises(RemoteProtocolError, match=f"2 value sets for {metrics} metrics"):
        take_apart(damaged, metrics)
    with pytest.raises(RemoteProtocolError, match="claims"):
        take_apart(damaged, 2)
