"""The names of access control, looked up on this host: addresses, users, groups. Blocking."""

from __future__ import annotations

import contextlib
import grp
import pwd
import socket
from collections.abc import Mapping

from pypcp.pmcd.access_hosts import Hosts


def addresses(name: str) -> list[str]:
    """The addresses of a host, in the order of the resolver; ``OSError`` where there are none."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def hosts() -> Hosts:
    """Names of hosts as this host resolves them, now; its own addresses are those of its name."""
    try:
        return Hosts(addresses, addresses(socket.gethostname()))
    except (OSError, UnicodeError):
        return Hosts(addresses)


class SystemAccounts:
    """The accounts that the system's name service knows."""

    def user(self, name: str) -> tuple[int, Mapping[int, str]]:
        """Its uid, and the groups it is in; ``KeyError``: no such user."""
        user = pwd.getpwnam(name)
        gids = {user.pw_gid} | {group.gr_gid for group in grp.getgrall() if name in group.gr_mem}
        return user.pw_uid, {gid: _group_name(gid) for gid in sorted(gids)}

    def group(self, name: str) -> tuple[int, Mapping[int, str]]:
        """Its gid, and the users in it; ``KeyError``: no such group."""
        group = grp.getgrnam(name)
        users = {user.pw_uid: user.pw_name for user in pwd.getpwall() if user.pw_gid == group.gr_gid}
        for member in group.gr_mem:
            with contextlib.suppress(KeyError):
                users[pwd.getpwnam(member).pw_uid] = member
        return group.gr_gid, users


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
