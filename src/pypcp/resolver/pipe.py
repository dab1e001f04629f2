"""The conversation with ``pmcd`` on the pipe, which outlives the process that leads it.

What was read and not yet answered, and what was answered and not yet written, lies in memory shared with the processes
that we descend from. A successor goes on there: it sends no credentials again, repeats no reply and owes none.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable
from typing import Final, Protocol

from pypcp.errors import PcpError, TooBig, TryAgain
from pypcp.wire.framing import FrameReader, frame_type
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Feature, PduType, encode

PROFILE_BYTES: Final = 1 << 20
INPUT_BYTES: Final = 1 << 20
_PROFILE_AT: Final = 4096
_INPUT_AT: Final = _PROFILE_AT + PROFILE_BYTES
_OUTPUT_AT: Final = _INPUT_AT + INPUT_BYTES
_FIELDS: Final = ("introduced", "profile", "input", "output", "written", "attempts")
_STATE = struct.Struct("=6I")
_READ_BYTES = 65536
_ATTEMPTS = 2
_READ, _WRITE = 1, 4
_NO_REPLY = frozenset({PduType.PROFILE, PduType.ATTR, PduType.ERROR, PduType.CREDS})


class Journal:
    """The state of the conversation, in three megabytes or more of shared memory."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    def _get(self, field: str) -> int:
        return _STATE.unpack_from(self._memory)[_FIELDS.index(field)]  # type: ignore[no-any-return]

    def _set(self, **changes: int) -> None:
        state = dict(zip(_FIELDS, _STATE.unpack_from(self._memory), strict=True)) | changes
        _STATE.pack_into(self._memory, 0, *state.values())

    @property
    def introduced(self) -> bool:
        """Whether credentials were sent."""
        return bool(self._get("introduced"))

    def introduce(self) -> None:
        """They have been."""
        self._set(introduced=1)

    @property
    def room(self) -> int:
        """The longest reply, in bytes."""
        return len(self._memory) - _OUTPUT_AT

    @property
    def profile(self) -> bytes:
        """The last PROFILE of the daemon's, empty for none: it holds until the next."""
        return self._memory[_PROFILE_AT : _PROFILE_AT + self._get("profile")]

    def keep_profile(self, frame: bytes) -> None:
        """From now on this one holds."""
        self._set(profile=0)
        self._memory[_PROFILE_AT : _PROFILE_AT + len(frame)] = frame
        self._set(profile=len(frame))

    def unanswered(self) -> bytes:
        """What was read and is not answered yet."""
        return self._memory[_INPUT_AT : _INPUT_AT + self._get("input")]

    def add_input(self, data: bytes) -> bool:
        """Keep what was read; False when it is more than any daemon sends."""
        held = self._get("input")
        if held + len(data) > INPUT_BYTES:
            return False
        self._memory[_INPUT_AT + held : _INPUT_AT + held + len(data)] = data
        self._set(input=held + len(data))
        return True

    def attempt(self) -> int:
        """How many processes have begun to answer the request in hand, this one included."""
        attempts = self._get("attempts") + 1
        self._set(attempts=attempts)
        return attempts

    def answered(self, size: int, reply: bytes) -> None:
        """The first ``size`` bytes of the input are done with, and this is to be written."""
        rest = self.unanswered()[size:]
        self._memory[_OUTPUT_AT : _OUTPUT_AT + len(reply)] = reply
        self._memory[_INPUT_AT : _INPUT_AT + len(rest)] = rest
        self._set(input=len(rest), output=len(reply), written=0, attempts=0)

    def unwritten(self) -> bytes:
        """What is still to be written."""
        return self._memory[_OUTPUT_AT + self._get("written") : _OUTPUT_AT + self._get("output")]

    def wrote(self, size: int) -> None:
        """So much of it has been."""
        self._set(written=self._get("written") + size)


class Loop(Protocol):
    """What is needed of the event loop."""

    def watch(self, fd: int, events: int, ready: Callable[[int], None]) -> None:
        """Call back when ready."""

    def forget(self, fd: int) -> None:
        """No more."""


class Pipe:
    """One request after the other; nobody waits for a daemon that does not read.

    ``answer`` gives the reply to a whole frame, empty where none is due. The end of the pipe is the starter's business.
    """

    def __init__(self, loop: Loop, journal: Journal, wires: tuple[int, int], answer: Callable[[bytes], bytes]) -> None:
        self._loop = loop
        self._journal = journal
        self._requests, self._replies = wires
        self._answer = answer
        self._over = False
        for fd in wires:
            os.set_blocking(fd, False)

    def start(self) -> None:
        """Introduce ourselves, or go on where a predecessor was."""
        if not self._journal.introduced:
            self._journal.answered(0, encode(Creds(flags=Feature.NONE, sender=os.getpid())))
            self._journal.introduce()
        if profile := self._journal.profile:
            self._answer(profile)
        self._go_on()

    def _go_on(self) -> None:
        """Write what is to be written, answer what is to be answered, then wait for whichever comes next."""
        while not self._over:
            if unwritten := self._journal.unwritten():
                if not self._write(unwritten):
                    return
            elif (frame := self._next_frame()) is not None:
                self._journal.answered(len(frame), self._reply_to(frame))
            else:
                self._loop.watch(self._requests, _READ, lambda _: self._read())
                return

    def _read(self) -> None:
        try:
            data = os.read(self._requests, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or not self._journal.add_input(data):
            self._end()
        self._go_on()

    def _write(self, unwritten: bytes) -> bool:
        """Write some; False when there is no more room for now, or never."""
        try:
            self._journal.wrote(os.write(self._replies, unwritten))
        except BlockingIOError:
            self._loop.forget(self._requests)
            self._loop.watch(self._replies, _WRITE, lambda _: self._resume())
            return False
        except OSError:
            self._end()
            return False
        return True

    def _resume(self) -> None:
        self._loop.forget(self._replies)
        self._go_on()

    def _next_frame(self) -> bytes | None:
        try:
            frames = FrameReader(INPUT_BYTES).feed(self._journal.unanswered())
        except PcpError:
            self._end()
            return None
        return frames[0] if frames else None

    def _reply_to(self, frame: bytes) -> bytes:
        """A request that has cost two processes their lives is not tried a third time."""
        type_ = frame_type(frame)
        if type_ == PduType.CREDS:
            return b""
        if self._journal.attempt() > _ATTEMPTS:
            return b"" if type_ in _NO_REPLY else encode(Error(TryAgain.code))
        if type_ == PduType.PROFILE:
            self._journal.keep_profile(frame)
        reply = self._answer(frame)
        return reply if len(reply) <= self._journal.room else encode(Error(TooBig.code))

    def _end(self) -> None:
        self._over = True
        self._loop.forget(self._requests)
        self._loop.forget(self._replies)
