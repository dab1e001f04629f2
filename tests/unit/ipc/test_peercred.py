import os
import socket

import pytest

from pypcp.errors import PermissionDenied
from pypcp.ipc.peercred import PeerCredentials, peer_credentials


def test_the_peer_of_a_unix_socket_is_known():
    ours = PeerCredentials(os.getpid(), os.geteuid(), os.getegid())
    one, other = socket.socketpair()
    with one, other:
        assert peer_credentials(one) == ours


def test_a_socket_without_a_peer_is_refused():
    with socket.socket(socket.AF_UNIX) as lone, pytest.raises(PermissionDenied, match="no peer"):
        peer_credentials(lone)


def test_a_tcp_socket_is_refused():
    with socket.socket(socket.AF_INET) as sock, pytest.raises(PermissionDenied, match="only a UNIX socket"):
        peer_credentials(sock)


def test_a_closed_socket_is_refused():
    one, other = socket.socketpair()
    other.close()
    one.close()
    with pytest.raises(PermissionDenied, match="does not tell"):
        peer_credentials(one)
