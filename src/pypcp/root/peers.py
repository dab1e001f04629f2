"""Who is at the other end of a connection: by the kernel's word, and a word that cannot be had is a refusal."""

from __future__ import annotations

import errno
import os
import pwd
import re
import select
import socket
import struct
from typing import NamedTuple

_SO_PEERPIDFD = 77
_CREDENTIALS = struct.Struct("=iII")


class Refused(Exception):
    """This peer gets nothing. The text says why, for the record."""


class Peer(NamedTuple):
    """A process as it was when it connected. ``identity`` stays its own even after its pid is used again."""

    uid: int
    pid: int
    identity: int
    controls: bool = False


class Household(NamedTuple):
    """The processes and accounts that the helper serves."""

    accounts: frozenset[int]
    parent: int = 0
    """Identity of the process that started the helper, 0 for none."""
    child: int = 0
    """Identity of the daemon that the helper itself started, 0 for none."""
    unit: str = ""
    """The systemd unit whose main process may start agents."""
    owner: int = 0
    """Whose daemon it is: root's, but for a helper that an ordinary user tries out."""


def process_identity(pidfd: int) -> int:
    """A number that no other process of this boot has: the pidfd's inode, or where kernels lack it, 0."""
    status = os.fstat(pidfd)
    return status.st_ino if status.st_dev != _anonymous_device() else 0


def _anonymous_device() -> int:
    """Where old kernels keep every pidfd, all with one inode number."""
    epoll = select.epoll()
    try:
        return os.fstat(epoll.fileno()).st_dev
    finally:
        epoll.close()


def identity_of(pid: int, pidfd: int) -> int:
    """What to know a process again by: its pidfd's inode, or where there is none, pid and start time in one number."""
    return process_identity(pidfd) or pid << 64 | start_time(pid)


def start_time(pid: int) -> int:
    """Field 22 of ``/proc/PID/stat``: clock ticks since boot. ``OSError`` when the process is gone."""
    return int(_stat_fields(pid)[19])


def parent_of(pid: int) -> int:
    """Who would reap ``pid``. ``OSError`` when it is gone."""
    return int(_stat_fields(pid)[1])


def _stat_fields(pid: int) -> list[bytes]:
    """The fields after the command, which may hold blanks and brackets."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def parent_identity() -> int:
    """The identity of our parent, 0 if it is gone already."""
    pid = os.getppid()
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return 0
    try:
        return identity_of(pid, pidfd) if os.getppid() == pid else 0
    finally:
        os.close(pidfd)


def account_ids(names: tuple[str, ...]) -> frozenset[int]:
    """User ids of accounts; one that does not exist is nobody."""
    found = set()
    for name in names:
        try:
            found.add(int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    return frozenset(found)


def identify(connection: socket.socket, household: Household) -> Peer:
    """The peer, if it may ask anything at all; :class:`Refused` if not, or if that cannot be established."""
    try:
        pid, uid, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        if uid != household.owner and uid not in household.accounts:
            raise Refused(f"uid {uid} is not served")
        pidfd = _peer_pidfd(connection, pid)
        try:
            return _judge(uid, pid, pidfd, household)
        finally:
            os.close(pidfd)
    except OSError as error:
        raise Refused(f"credentials cannot be had: {error.strerror}") from None


def _peer_pidfd(connection: socket.socket, pid: int) -> int:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        if error.errno not in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):  # a kernel before 6.5
            raise
    return os.pidfd_open(pid)


def _judge(uid: int, pid: int, pidfd: int, household: Household) -> Peer:
    identity = identity_of(pid, pidfd)
    family = identity in {household.parent, household.child} - {0}
    main = bool(household.unit) and _is_main_process(pid, household.unit)
    for space in ("user", "pid") if main else ("user", "pid", "mnt"):
        if not os.path.samestat(os.stat(f"/proc/{pid}/ns/{space}"), os.stat(f"/proc/self/ns/{space}")):
            raise Refused(f"uid {uid}, pid {pid} lives in another {space} name space")
    if _ended(pidfd):
        raise Refused(f"pid {pid} ended while it was looked at")
    return Peer(uid, pid, identity, controls=family or main)


def _is_main_process(pid: int, unit: str) -> bool:
    """Started by systemd itself (a child of process 1), in the unit's own control group."""
    with open(f"/proc/{pid}/cgroup", "rb") as file:
        return in_system_unit(os.fsdecode(file.read()), unit) and parent_of(pid) == 1


def in_system_unit(groups: str, unit: str) -> bool:
    """Whether the text of a ``/proc/PID/cgroup`` puts its process into this unit of the system's own systemd.

    Only its slices may stand above the unit. What is beneath a service, a scope or ``user.slice`` may be in the hands
    of an account, which calls its groups whatever it likes.
    """
    own = re.compile(rf"(?:0:|\d+:name=systemd):/(?!user\.slice/)(?:[^/]+\.slice/)*{re.escape(unit)}")
    return any(own.fullmatch(line) for line in groups.split("\n"))  # a name may hold any other mark of a line's end


def _ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
