"""Stock's clients come to our daemon by TLS, log in, and ask for a container."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import OurDaemon, clean_environment, require, stock
from pypcp.pmcd.accounts import Accounts, Verifier

ACCOUNTS = Accounts({"root": Verifier.of("s3cret", rounds=4096)})
REFUSED = "Authentication - authentication failure"
PMCD = "pmcd 2 dso pmcd_init /none.so\n"


class SecureDaemon(OurDaemon):
    """`pypcp pmcd` with a certificate for localhost, and root as the one who can log in."""

    def __init__(self, *options: object, loop: str) -> None:
        super().__init__(*options, tool="pmcd", loop=loop)
        self.options = (*self.options, "-c", str(self.directory / "pmcd.conf"))

    def environment(self) -> dict[str, str]:
        openssl = shutil.which("openssl")
        require(openssl, "openssl, for a certificate")
        (self.directory / "pmcd.conf").write_text(PMCD)
        users = self.directory / "etc" / "pmcd" / "users"
        users.parent.mkdir(parents=True)
        users.write_text(str(ACCOUNTS))
        users.chmod(0o600)
        certificate, key = self.directory / "cert.pem", self.directory / "key.pem"
        made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        names = [
            "-addext",
            f"subjectAltName=DNS:localhost,IP:127.0.0.1,IP:{another_address() or '127.0.0.1'}",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ]
        subprocess.run([str(openssl), "req", *made, *names], check=True, capture_output=True, timeout=30)
        self.tls.write_text(f"tls-cert-file = {certificate}\ntls-key-file = {key}\ntls-ca-cert-file = {certificate}\n")
        own = {"PCP_SYSCONF_DIR": str(self.directory / "etc"), "PCP_TLSCONF_PATH": str(self.tls)}
        return super().environment() | own

    @property
    def tls(self) -> Path:
        return self.directory / "tls.conf"


@pytest.fixture(scope="module")
def secure(loop_name: str) -> Iterator[SecureDaemon]:
    with SecureDaemon(loop=loop_name) as daemon:
        yield daemon


def fetched(host: str, tls: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What stock's pminfo says of a metric by that way."""
    if tls is None:
        return stock("pminfo", "-h", host, "-f", "pmcd.numclients")
    environment = clean_environment(PCP_TLSCONF_PATH=str(tls), PCP_SECURE_SOCKETS="enforce")
    command = ["/usr/bin/pminfo", "-h", host, "-f", "pmcd.numclients"]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
    )


def test_a_client_fetches_by_tls(secure: SecureDaemon) -> None:
    assert "value 1" in fetched(f"pcps://{secure.tcp}", secure.tls).stdout


def test_a_client_logs_in_with_plain_under_tls_only(secure: SecureDaemon) -> None:
    login = "?method=plain&username=root&password=s3cret"
    assert "value 1" in fetched(f"pcps://{secure.tcp}{login}", secure.tls).stdout
    assert "encryption needed to use mechanism" in fetched(f"{secure.tcp}{login}").stderr


def test_a_client_logs_in_with_scram_and_not_with_a_wrong_password(secure: SecureDaemon) -> None:
    login = f"{secure.tcp}?method=scram-sha-256&username=root&password="
    assert "value 1" in fetched(login + "s3cret").stdout
    assert REFUSED in fetched(login + "wrong").stderr


def test_a_client_asks_for_a_container(secure: SecureDaemon) -> None:
    labels = stock("pminfo", "-h", f"{secure.tcp}?container=web01", "-l", "pmcd.numclients")
    assert '"container":"web01"' in labels.stdout


def test_where_credentials_are_required_a_stranger_gets_nothing(loop_name: str) -> None:
    with SecureDaemon("-S", loop=loop_name) as daemon:
        assert "value 1" in fetched(daemon.unix).stdout
        assert "value 1" in fetched(f"{daemon.tcp}?method=scram-sha-256&username=root&password=s3cret").stdout
        stranger = fetched(f"{daemon.tcp}?method=scram-sha-256&username=nobody&password=s3cret")
        assert "value" not in stranger.stdout
        assert REFUSED in stranger.stderr


def another_address() -> str:
    """An address of this host that is not the loopback's: who comes by it comes from elsewhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return ""
        return str(sock.getsockname()[0])


def test_where_certificates_are_required_clients_of_other_hosts_show_one(loop_name: str) -> None:
    address = another_address()
    require(address and not address.startswith("127."), "an address beside the loopback's")
    with SecureDaemon("-Q", "-i", "0.0.0.0", loop=loop_name) as daemon:
        assert "value 1" in fetched(daemon.tcp).stdout
        far = f"{address}:{daemon.port}"
        stranger = fetched(far)
        assert "value" not in stranger.stdout
        assert "requires a client certificate" in stranger.stderr
        trusting = daemon.directory / "trusting.conf"
        trusting.write_text(f"tls-ca-cert-file = {daemon.directory}/cert.pem\n")
        assert "value" not in fetched(f"pcps://{far}", trusting).stdout
        assert "value 1" in fetched(f"pcps://{far}", daemon.tls).stdout
