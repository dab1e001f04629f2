"""Instance domains: numbers and names of instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pypcp.model.ids import IN_NULL, InDom
from pypcp.wire.buffer import Reader, Writer, to_bytes
from pypcp.wire.pdu import Envelope, Pdu, PduType, register
from pypcp.wire.versions import Channel


@register
@dataclass(frozen=True, slots=True)
class InstanceRequest(Pdu):
    """INSTANCE_REQ: all of an instance domain (no instance, no name), or one half of an instance for the other.

    ====  =======  ====================================================
     12   u32      indom
     16   2 words  0, not looked at
     24   i32      instance, -1 if not given
     28   i32      size of the name, 0 if not given
     32   ...      name, padded
    ====  =======  ====================================================

    Answer: INSTANCE.
    """

    pdu_types: ClassVar = (PduType.INSTANCE_REQ,)
    indom: int
    instance: int = IN_NULL
    name: str = ""
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        writer.u32(self.indom)
        writer.i64(0)
        writer.i32(self.instance)
        writer.text(self.name)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> InstanceRequest:
        """Five words and the name."""
        indom, _, instance, size = reader.u32(), reader.i64(), reader.i32(), reader.i32()
        return cls(InDom(indom), instance, reader.text(size), envelope.sender)


@register
@dataclass(frozen=True, slots=True)
class InstanceReply(Pdu):
    """INSTANCE: instances of a domain.

    ====  ===  ====================================================
     12   u32  indom
     16   i32  count
     20   ...  entries: instance i32; size of the name i32; name, padded
    ====  ===  ====================================================

    The whole domain: ``instances`` and ``names`` of one length. One instance by its name: one entry in ``instances``,
    no ``names``. One name by its instance: no ``instances``, one entry in ``names``. So a domain whose only instance is
    -1, or has an empty name, cannot be told from an answer to half a question.
    """

    pdu_types: ClassVar = (PduType.INSTANCE,)
    indom: int
    instances: Sequence[int] = field(default_factory=list)
    names: Sequence[str] = field(default_factory=list)
    sender: int = 0

    def write(self, writer: Writer, channel: Channel | None) -> None:
        """Appends the body to ``writer``."""
        instances, names = self.instances, self.names
        if len(instances) + len(names) == 1:
            instances, names = instances or [IN_NULL], names or [""]
        writer.u32(self.indom)
        writer.i32(len(instances))
        writer.texts([to_bytes(name) for name in names], instances)

    @classmethod
    def read(cls, reader: Reader, envelope: Envelope) -> InstanceReply:
        """Any number of entries, also none."""
        indom = InDom(reader.u32())
        instances, names = [], []
        for _ in range(reader.count(8)):
            instance, size = reader.i32(), reader.i32()
            instances.append(instance)
            names.append(reader.text(size))
        if names == [""]:
            names = []
        elif instances == [IN_NULL]:
            instances = []
        return cls(indom, instances, names, envelope.sender)
