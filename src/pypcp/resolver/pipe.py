"""The daemon's requests, which the guard carries to us from the pipe, and our answers to them.

The guard asks one request at a time, and asks our successor again should we die over one. What has to outlive us,
the profile in force, lies in memory shared with the processes that we descend from.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

from pypcp.errors import TooBig, TryAgain
from pypcp.root.conversation import HEAD, MAX_ANSWER, MAX_REQUEST
from pypcp.wire.framing import frame_type
from pypcp.wire.handshake import Creds, Error
from pypcp.wire.pdu import Feature, PduType, encode

_PROFILE_AT: Final = 4096
_PROFILE_BYTES: Final = MAX_REQUEST
_STATE = struct.Struct("=2I")
_READ_BYTES = 65536
_ATTEMPTS = 2
_READ, _WRITE = 1, 4
_NO_REPLY = frozenset({PduType.PROFILE, PduType.ATTR, PduType.ERROR, PduType.CREDS})


class Journal:
    """What our successor has to know of the conversation, in two megabytes or more of shared memory."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    def _state(self) -> tuple[int, int]:
        profile, attempts = _STATE.unpack_from(self._memory)
        return profile, attempts

    def forget(self) -> None:
        """A conversation begins."""
        _STATE.pack_into(self._memory, 0, 0, 0)

    @property
    def profile(self) -> bytes:
        """The last PROFILE of the daemon's, empty for none: it holds until the next."""
        return self._memory[_PROFILE_AT : _PROFILE_AT + self._state()[0]]

    def keep_profile(self, frame: bytes) -> None:
        """From now on this one holds. (Should we die in between it is asked again.)"""
        attempts = self._state()[1]
        _STATE.pack_into(self._memory, 0, 0, attempts)
        self._memory[_PROFILE_AT : _PROFILE_AT + len(frame)] = frame
        _STATE.pack_into(self._memory, 0, len(frame), attempts)

    def attempt(self) -> int:
        """How many processes have begun to answer the request in hand, this one included."""
        profile, attempts = self._state()
        _STATE.pack_into(self._memory, 0, profile, attempts + 1)
        return attempts + 1

    def answered(self) -> None:
        """It is done with."""
        _STATE.pack_into(self._memory, 0, self._state()[0], 0)


class Loop(Protocol):
    """What is needed of the event loop."""

    def watch(self, fd: int, events: int, ready: Callable[[int], None]) -> None:
        """Call back when ready."""

    def forget(self, fd: int) -> None:
        """No more."""


class Pipe:
    """One request after the other.

    ``answer`` gives the reply to a whole frame, empty where none is due; ``leave`` ends this process, when the guard
    hangs up.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        voice: socket.socket,
        answer: Callable[[bytes], bytes],
        leave: Callable[[], NoReturn],
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._voice = voice
        self._answer = answer
        self._leave = leave
        self._heard = bytearray()
        self._unsaid = memoryview(b"")
        voice.setblocking(False)

    def start(self) -> None:
        """Answer from now on, under the profile that is in force."""
        if profile := self._journal.profile:
            self._answer(profile)
        self._loop.watch(self._voice.fileno(), _READ, lambda _: self._hear())

    def _hear(self) -> None:
        try:
            data = self._voice.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._leave()
        self._heard += data
        self._answer_heard()

    def _answer_heard(self) -> None:
        while not self._unsaid and len(self._heard) >= HEAD.size:
            size, serial = HEAD.unpack_from(self._heard)
            if len(self._heard) < HEAD.size + size:
                return
            reply = self._reply_to(bytes(self._heard[HEAD.size : HEAD.size + size]))
            del self._heard[: HEAD.size + size]
            self._unsaid = memoryview(HEAD.pack(len(reply), serial) + reply)
            self._say()

    def _say(self) -> None:
        while self._unsaid:
            try:
                self._unsaid = self._unsaid[self._voice.send(self._unsaid) :]
            except BlockingIOError:
                self._loop.watch(self._voice.fileno(), _WRITE, lambda _: self._resume())
                return
            except OSError:
                self._leave()
        self._journal.answered()

    def _resume(self) -> None:
        self._loop.watch(self._voice.fileno(), _READ, lambda _: self._hear())
        self._say()
        self._answer_heard()

    def _reply_to(self, frame: bytes) -> bytes:
        """A request that has cost two processes their lives is not tried a third time."""
        if not frame:
            self._journal.forget()
            return encode(Creds(flags=Feature.NONE, sender=os.getpid()))
        type_ = frame_type(frame)
        if type_ == PduType.CREDS:
            return b""
        if self._journal.attempt() > _ATTEMPTS:
            return b"" if type_ in _NO_REPLY else encode(Error(TryAgain.code))
        if type_ == PduType.PROFILE:
            self._journal.keep_profile(frame)
        reply = self._answer(frame)
        return reply if len(reply) <= MAX_ANSWER else encode(Error(TooBig.code))
