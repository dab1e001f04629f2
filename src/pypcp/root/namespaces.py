"""The name-space reader: given a process, the host name it sees. Nothing else, for the whole of its life.

It holds the two capabilities that entering another's UTS name space takes, and may make a dozen system calls. A request
is one byte with a pidfd beside it; the answer a status and at most 64 bytes.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import socket
import struct
from collections.abc import Callable
from typing import Final, NoReturn

from pypcp.root import confine, seccomp

CAPABILITIES: Final = ("SYS_ADMIN", "SYS_PTRACE")
_UTS_NAME_SPACE = 0x04000000
_STATUS = struct.Struct("=i")
_FD = struct.Struct("=i")
_ANCILLARY = socket.CMSG_LEN(_FD.size)


class NameSpaceReader:
    """Enters, looks, comes back. A way back that fails ends the process: it would answer for the wrong host."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._home = os.open("/proc/self/ns/uts", os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        """Answer until the other side is gone, or breaks the rules."""
        while True:
            request, pidfd = self._receive()
            if request != b"h" or pidfd is None:
                return
            status, name = self._host_name(pidfd)
            os.close(pidfd)
            self._channel.sendmsg([_STATUS.pack(status) + name])

    def _receive(self) -> tuple[bytes, int | None]:
        data, ancillary, flags, _ = self._channel.recvmsg(1, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        if flags & socket.MSG_CTRUNC or len(ancillary) != 1:
            return data, None
        return data, int(_FD.unpack(ancillary[0][2][: _FD.size])[0])

    def _host_name(self, pidfd: int) -> tuple[int, bytes]:
        if _enter(pidfd):
            return -(ctypes.get_errno() or errno.ESRCH), b""
        name = os.fsencode(os.uname().nodename)
        if _enter(self._home):
            os._exit(70)
        return 0, name[:64]


def _enter(descriptor: int) -> int:
    return int(confine.libc.setns(descriptor, _UTS_NAME_SPACE))


def run(channel: socket.socket, account: tuple[int, int] | None, complain: Callable[[str], None]) -> NoReturn:
    """The whole life of the reader, in a process that was forked for it. ``account`` None: stay who we are."""
    reader = NameSpaceReader(channel)
    if account:
        confine.drop_to(*account, CAPABILITIES)
    else:
        confine.no_new_privileges()
    gc.disable()
    try:
        seccomp.restrict(seccomp.READER, deadly=True)
    except confine.NotConfined as fault:
        complain(str(fault))
    try:
        reader.serve()
    finally:
        os._exit(0)
