"""Stock's own parser and ours agree on what host specifications mean."""

import json
import subprocess

import pytest

from peers import clean_environment, require, stock
from pypcp.errors import PcpError
from pypcp.ipc.address import parse_hostspec

pytestmark = pytest.mark.interop

# Calls libpcp's parser by ctypes: hosts with their ports, attributes by their number, or the error code.
STOCK_PARSER = """
import ctypes, json, sys
class Host(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("ports", ctypes.POINTER(ctypes.c_int)), ("count", ctypes.c_int)]
class Node(ctypes.Structure):
    pass
Node._fields_ = [("next", ctypes.POINTER(Node)), ("key", ctypes.c_uint), ("data", ctypes.c_char_p)]
class Table(ctypes.Structure):
    _fields_ = [("nodes", ctypes.c_int), ("size", ctypes.c_int), ("hash", ctypes.POINTER(ctypes.POINTER(Node))),
                ("next", ctypes.c_void_p), ("index", ctypes.c_uint)]
parse = getattr(ctypes.CDLL("libpcp.so.3"), "__pmParseHostAttrsSpec")
for spec in json.load(sys.stdin):
    hosts, count, table, message = ctypes.POINTER(Host)(), ctypes.c_int(), Table(), ctypes.c_char_p()
    status = parse(spec.encode(), *map(ctypes.byref, (hosts, count, table, message)))
    if status < 0:
        print(json.dumps(None))
        continue
    found = [[hosts[i].name.decode(), [hosts[i].ports[k] for k in range(hosts[i].count)]] for i in range(count.value)]
    attributes = {}
    for bucket in range(table.size):
        node = table.hash[bucket]
        while node:
            attributes[node.contents.key] = (node.contents.data or b"").decode()
            node = node.contents.next
    print(json.dumps([found, attributes]))
"""
SCHEME_KEYS = {1, 10, 13}
ATTRIBUTE_KEYS = {
    "secure": 2, "compress": 3, "userauth": 4, "username": 5, "authname": 6, "password": 7, "method": 8, "realm": 9,
    "unixsock": 10, "userid": 11, "groupid": 12, "local": 13, "processid": 14, "container": 15, "exclusive": 16,
}  # fmt: skip

BOTH_ACCEPT = [
    "nas1.acme.com:44321,4321@firewall.acme.com:44322",
    "nas1.acme.com:44321@firewall.acme.com",
    "nas1.acme.com@firewall.acme.com",
    "[fe80::2ad2:44ff:fe88:e4f1%p2p1]",
    "[::1]:44321",
    "[::1]@[::2]:44322",
    "pcps://app2.acme.com?container=cae8e6edc0d5",
    "pcps://nas1.acme.com:44321?username=tanya&method=gssapi",
    "pcp:host",
    "pcp://host/",
    "unix:",
    "unix://",
    "unix:///run/x",
    "unix://run/x",
    "unix:run/x",
    "unix:///a/b@c",
    "unix:?container=x",
    "local:?container=z",
    "local:/a/b",
    "host:65535",
    "host?username=a%20b",
    "host?username=a,b",
    "host?password=a:b",
    "host?username=x&",
    "host?",
    "host?compress&secure=enforce&exclusive",
]
BOTH_REFUSE = [
    "host:",
    "host:abc",
    "host:-1",
    "host:44321,",
    "host:1,,2",
    "::1",
    "[::1",
    "[::1]44321",
    "fe80::1%eth0",
    "@proxy",
    "host@proxy:x",
    "http://host",
    "unix:///a/b:44321",
    "host?username=%zz",
    "host?username=a%2",
]


def by_stock(specs: list[str]) -> list[tuple[list, dict[int, str]] | None]:
    require(stock("pminfo", "--version").returncode == 0, "stock's libpcp (Debian package libpcp3)")
    command = ["/usr/bin/python3", "-c", STOCK_PARSER]
    run = subprocess.run(
        command,
        input=json.dumps(specs),
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=30,
        check=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def by_us(text: str) -> list:
    spec = parse_hostspec(text, {"PMCD_PORT": "1", "PMPROXY_PORT": "1"})
    if spec.transport != "tcp":
        hosts = [[spec.socket_path or "/run/pcp/pmcd.socket", []]]
    else:
        hosts = [[spec.host, [port for port in spec.ports if port != 1]]]
        if spec.proxy_host:
            hosts.append([spec.proxy_host, [port for port in spec.proxy_ports if port != 1]])
    attributes = {str(ATTRIBUTE_KEYS[name]): value for name, value in spec.attributes}
    return [hosts, attributes]


def test_what_both_accept_means_the_same():
    for text, found in zip(BOTH_ACCEPT, by_stock(BOTH_ACCEPT), strict=True):
        assert found is not None, f"stock refuses {text}"
        hosts, attributes = found
        without_scheme = {key: value for key, value in attributes.items() if int(key) not in SCHEME_KEYS}
        assert by_us(text) == [hosts, without_scheme], text


def test_what_stock_refuses_we_refuse():
    for text, found in zip(BOTH_REFUSE, by_stock(BOTH_REFUSE), strict=True):
        assert found is None, f"stock accepts {text}"
        with pytest.raises(PcpError):
            parse_hostspec(text, {})
