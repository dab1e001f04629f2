"""The IPC table of ``__pmAddIPC(3)``: which version every channel speaks, and what that means for a PDU.

A :class:`Channel` holds what is known of the peer on one connection; codecs are given it. :class:`IpcTable` finds the
channel of a descriptor, as the C library's table does. The last part is the translation for version-1 peers: pure
functions on codes and on finished value sets, which the codec applies where :func:`is_version_1` says so.
"""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Iterable
from typing import Any, Final, TextIO

from pypcp.errors import OsError, ProtocolError, RemoteProtocolError, from_code, from_v1, to_v1
from pypcp.model.values import ValueFormat, ValueSet, ValueType
from pypcp.wire.blocks import encode_value

UNKNOWN_VERSION: Final = 0
PDU_VERSION1: Final = 1
PDU_VERSION2: Final = 2

PDU_OVERRIDE1: Final = -1001
"""Stands for a peer of version 1 without any table entry."""
PDU_OVERRIDE2: Final = -1002
"""Stands for a peer of version 2 without any table entry."""

_OVERRIDES: Final = {PDU_OVERRIDE1: PDU_VERSION1, PDU_OVERRIDE2: PDU_VERSION2}
_NO_DESCRIPTOR: Final = -2147483647
_FIRST_SIZE: Final = 4


class Channel:
    """What is known of the peer on one connection.

    ``fd`` is None for a channel in this process. ``version`` is 0 until the handshake settles it; ``features`` are the
    :class:`pypcp.wire.pdu.Feature` bits the peer announced; ``data`` is the owner's (secure connection state).
    """

    __slots__ = ("data", "fd", "features", "socket", "version")

    def __init__(
        self,
        fd: int | None = None,
        version: int = UNKNOWN_VERSION,
        *,
        socket: bool = False,
        features: int = 0,
        data: Any = None,
    ) -> None:
        self.fd = fd
        self.version = version
        self.socket = socket
        self.features = features
        self.data = data

    def __repr__(self) -> str:
        return f"Channel(fd={self.fd}, version={self.version}, socket={self.socket}, features={self.features:#06x})"


def is_version_1(channel: Channel | None) -> bool:
    """Must what goes to and comes from this channel be translated? No channel means the version of today."""
    return channel is not None and channel.version == PDU_VERSION1


class IpcTable:
    """Channels by descriptor, and which descriptor was used last. Every operation is atomic.

    The table counts in slots as the C library's does: it grows from 4 by doubling until it covers a descriptor, and a
    slot that was never set is a channel of version 0.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[int, Channel] = {}
        self._size = 0
        self.last_fd = _NO_DESCRIPTOR
        """The descriptor used last; to set it is atomic in itself, and what whoever receives a PDU does."""
        self.highest_fd = 0
        """The largest descriptor that ever had an entry; 0 before the first."""

    # The documented six.

    def add(self, fd: int, channel: Channel) -> None:
        """Registers or replaces the channel of ``fd`` and makes ``fd`` the last used. See: __pmAddIPC(3).

        The table holds the channel itself, and the channel learns its descriptor; a pair of pipes is one channel under
        two. ``OsError(-EBADF)`` for a negative ``fd``; nothing is registered then.
        """
        with self._lock:
            self._cover(fd)
            channel.fd = fd
            self._channels[fd] = channel

    def lookup_fd(self, fd: int) -> Channel:
        """The channel of ``fd``; ``ProtocolError`` beyond the table. See: __pmFdLookupIPC, __pmAddIPC(3)."""
        with self._lock:
            return self._lookup(fd)

    def lookup(self) -> Channel:
        """The channel used last; ``ProtocolError`` before any use. See: __pmLookupIPC, __pmAddIPC(3)."""
        with self._lock:
            return self._lookup(self.last_fd)

    def override_last(self, fd: int) -> None:
        """Makes ``fd``, whatever its number, the last used; the table stays as it is.

        Every receive of a PDU does this with its descriptor. See: __pmOverrideLastFd, __pmAddIPC(3).
        """
        with self._lock:
            self.last_fd = fd

    def reset(self, fd: int) -> None:
        """Forgets all about ``fd``: its version becomes unknown (0). See: __pmResetIPC, __pmAddIPC(3).

        No effect on an unknown ``fd``. The channel registered so far keeps what it knows for those who still hold it.
        """
        with self._lock:
            self._channels.pop(fd, None)

    def print_table(self, stream: TextIO | None = None) -> None:
        """One line, by default on standard error: each descriptor whose version is known, with version and socket flag.

        See: __pmPrintIPC, __pmAddIPC(3).
        """
        with self._lock:
            known = [(fd, channel) for fd, channel in sorted(self._channels.items()) if channel.version]
            entries = "".join(f" {fd}({channel.version},{int(channel.socket)})" for fd, channel in known)
        (stream or sys.stderr).write(f"IPC table fd(PDU version):{entries}\n")

    # One fact at a time.

    def set_version(self, fd: int, version: int) -> None:
        """Sets the version (8 bits) and makes ``fd`` the last used. C name: __pmSetVersionIPC."""
        with self._lock:
            self._entry(fd).version = version & 0xFF

    def set_features(self, fd: int, version: int, features: int) -> None:
        """Sets version (8 bits) and features (16 bits); ``fd`` is the last used. C name: __pmSetFeaturesIPC."""
        with self._lock:
            channel = self._entry(fd)
            channel.version = version & 0xFF
            channel.features = features & 0xFFFF

    def set_socket(self, fd: int) -> None:
        """Notes that ``fd`` is a socket and makes it the last used. C name: __pmSetSocketIPC."""
        with self._lock:
            self._entry(fd).socket = True

    def set_data(self, fd: int, data: Any) -> None:
        """Attaches the owner's data and makes ``fd`` the last used. C name: __pmSetDataIPC."""
        with self._lock:
            self._entry(fd).data = data

    def version(self, fd: int) -> int:
        """The version; 0 if unknown. C name: __pmVersionIPC."""
        with self._lock:
            return self._version(fd)

    def last_version(self) -> int:
        """The version of the descriptor used last; 0 if unknown. C name: __pmLastVersionIPC."""
        with self._lock:
            return self._version(self.last_fd)

    def socket(self, fd: int) -> bool:
        """Is it a socket? False if unknown. C name: __pmSocketIPC."""
        with self._lock:
            return self._holds(fd) and self._lookup(fd).socket

    def features(self, fd: int) -> int:
        """The feature bits; 0 if unknown. C name: __pmFeaturesIPC."""
        with self._lock:
            return self._lookup(fd).features if self._holds(fd) else 0

    def data(self, fd: int) -> Any:
        """The owner's data, None if there is none; ``OsError(-ESRCH)`` beyond the table. C name: __pmDataIPC."""
        with self._lock:
            if not self._holds(fd):
                raise OsError(-errno.ESRCH, f"descriptor {fd} has no IPC channel")
            return self._lookup(fd).data

    # Called with the lock held.

    def _cover(self, fd: int) -> None:
        if fd < 0:
            raise OsError(-errno.EBADF, f"{fd} is no descriptor")
        size = self._size or _FIRST_SIZE
        while size <= fd:
            size *= 2
        self._size = size
        self.last_fd = fd
        self.highest_fd = max(self.highest_fd, fd)

    def _entry(self, fd: int) -> Channel:
        self._cover(fd)
        return self._channels.setdefault(fd, Channel(fd))

    def _holds(self, fd: int) -> bool:
        return fd in _OVERRIDES or 0 <= fd < self._size

    def _lookup(self, fd: int) -> Channel:
        if not self._holds(fd):
            raise ProtocolError(f"descriptor {fd} has no IPC channel")
        return self._channels.get(fd) or Channel(fd, _OVERRIDES.get(fd, UNKNOWN_VERSION))

    def _version(self, fd: int) -> int:
        return self._lookup(fd).version if self._holds(fd) else UNKNOWN_VERSION


# Version 1: what the codec applies to codes and finished value sets.


def code_from_v1(code: int) -> int:
    """A code in version 1's numbering as a code of today; ``RemoteProtocolError`` if there can be none."""
    translated = from_v1(code)
    if translated < -(2**31):
        raise RemoteProtocolError(f"no error has the version-1 code {code}")
    return translated


def value_sets_to_v1(value_sets: Iterable[ValueSet]) -> list[ValueSet]:
    """What a version-1 peer is sent: codes in its numbering, floats in place, blocks that do not say their type."""
    return [_set_to_v1(value_set) for value_set in value_sets]


def value_sets_from_v1(value_sets: Iterable[ValueSet]) -> list[ValueSet]:
    """What a version-1 peer sent, with the codes of today.

    Values need no translation: neither those in place nor those in blocks say their type, so both wait for
    :func:`pypcp.wire.result.typed`, which knows it from the descriptor.
    """
    return [_set_from_v1(value_set) for value_set in value_sets]


def _set_to_v1(old: ValueSet) -> ValueSet:
    if old.error is not None:
        return ValueSet(old.pmid, error=from_code(to_v1(old.error.code)))
    if old.type is None or old.type in (ValueType.I32, ValueType.U32):
        return old
    blocks = [encode_value(old.type, value) for value in old.values]
    if old.type is ValueType.FLOAT:
        words = [int.from_bytes(block, "big") for block in blocks]
        return ValueSet(old.pmid, old.instances, words, format=ValueFormat.INSITU)
    return ValueSet(old.pmid, old.instances, blocks, format=old.format)


def _set_from_v1(old: ValueSet) -> ValueSet:
    if old.error is None:
        return old
    return ValueSet(old.pmid, error=from_code(code_from_v1(old.error.code)))
