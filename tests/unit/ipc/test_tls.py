"""tls.conf: contexts that work, and clear words where none can be made."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from peers import require
from pypcp.ipc.configuration import ConfigurationError
from pypcp.ipc.tls import TlsSettings, client_context, server_context

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA (ca), certificates by it for a daemon (server) and a client (client), and one by nobody (stranger)."""
    require(shutil.which("openssl"), "openssl, for certificates")
    made = tmp_path_factory.mktemp("certificates")
    openssl("req", "-x509", *EC, "-nodes", "-subj", "/CN=ca", "-keyout", made / "ca.key", "-out", made / "ca.crt")
    signed = ["-CA", made / "ca.crt", "-CAkey", made / "ca.key"]
    for name, by in (("server", signed), ("client", signed), ("stranger", [])):
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:collector"]
        files = ["-keyout", made / f"{name}.key", "-out", made / f"{name}.crt"]
        openssl("req", "-x509", *EC, "-nodes", *subject, "-addext", "basicConstraints=CA:FALSE", *by, *files)
    openssl("ec", "-in", made / "server.key", "-aes256", "-passout", "pass:secret", "-out", made / "locked.key")
    (made / "directory").mkdir()
    shutil.copy(made / "ca.crt", made / "directory" / "ca.pem")
    openssl("rehash", made / "directory")
    return made


def settings(certificates: Path, text: str) -> TlsSettings:
    return TlsSettings.parse(text.replace("@", f"{certificates}/"), "tls.conf")


SERVER = "tls-cert-file = @server.crt\ntls-key-file = @server.key\n"
TRUST = "tls-ca-cert-file = @ca.crt\n"
CLIENT = TRUST + "tls-client-cert-file = @client.crt\ntls-client-key-file = @client.key\n"
STRANGER = TRUST + "tls-client-cert-file = @stranger.crt\ntls-client-key-file = @stranger.key\n"


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, hostname: str = "collector") -> ssl.SSLObject:
    """Both ends in memory, until the daemon has what it wants; the daemon's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=hostname),
    ]
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    ends[1].write(b"request")
    assert ends[0].read(7) == b"request"
    return ends[0]


def contexts(certificates: Path, server: str, client: str, **options: bool) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    made = server_context(settings(certificates, server), **options)
    assert made is not None
    return made, client_context(settings(certificates, client))


def test_a_daemon_and_a_client_speak_tls_1_2_or_later(certificates: Path) -> None:
    server, client = contexts(certificates, SERVER, TRUST)
    assert server.minimum_version == client.minimum_version == ssl.TLSVersion.TLSv1_2
    assert shake_hands(server, client).version() == "TLSv1.3"


def test_a_directory_of_cas_is_trusted_too(certificates: Path) -> None:
    shake_hands(*contexts(certificates, SERVER, "tls-ca-cert-dir = @directory\n"))


def test_without_a_certificate_the_daemon_offers_no_tls() -> None:
    assert server_context(TlsSettings()) is None
    assert server_context(TlsSettings.parse("# tls-cert-file = x\n[section]\n", "tls.conf")) is None


def test_a_client_does_not_talk_to_a_daemon_it_does_not_trust(certificates: Path) -> None:
    stranger = SERVER.replace("server", "stranger")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(*contexts(certificates, stranger, TRUST))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(*contexts(certificates, SERVER, ""))


def test_a_client_does_not_talk_to_a_daemon_with_another_name(certificates: Path) -> None:
    server, client = contexts(certificates, SERVER, TRUST)
    with pytest.raises(ssl.SSLCertVerificationError, match="elsewhere"):
        shake_hands(server, client, "elsewhere")


def test_a_client_may_have_a_certificate_but_need_not(certificates: Path) -> None:
    assert not shake_hands(*contexts(certificates, SERVER + TRUST, TRUST)).getpeercert()
    subject = (shake_hands(*contexts(certificates, SERVER + TRUST, CLIENT)).getpeercert() or {})["subject"]
    assert subject == ((("commonName", "client"),),)


def test_a_certificate_that_a_client_has_must_be_good(certificates: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(*contexts(certificates, SERVER + TRUST, STRANGER))


@pytest.mark.parametrize(("more", "required"), [("tls-verify-clients = True\n", False), ("", True)])
def test_a_client_without_a_certificate_can_be_turned_away(certificates: Path, more: str, required: bool) -> None:
    server, client = contexts(certificates, SERVER + TRUST + more, TRUST, certificate_required=required)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(server, client)
    shake_hands(server, client_context(settings(certificates, CLIENT)))


def test_the_ciphers_up_to_tls_1_2_can_be_chosen(certificates: Path) -> None:
    server, _ = contexts(certificates, SERVER + "tls-ciphers = ECDHE-ECDSA-AES256-GCM-SHA384\n", TRUST)
    older = {cipher["name"] for cipher in server.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert older == {"ECDHE-ECDSA-AES256-GCM-SHA384"}


@pytest.mark.skipif(hasattr(ssl.SSLContext, "set_ciphersuites"), reason="this Python can choose them")
def test_a_ciphersuite_that_is_not_allowed_is_not_used(certificates: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = contexts(certificates, SERVER + "tls-ciphersuites = TLS_CHACHA20_POLY1305_SHA256\n", TRUST)
    assert shake_hands(*chosen).version() == "TLSv1.2"
    assert "TLS 1.2 is used instead" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tls-cert-file = @server.crt", "1: tls-cert-file is set but tls-key-file is not"),
        ("\ntls-key-file = @server.key", "2: tls-key-file is set but tls-cert-file is not"),
        (SERVER.replace("server.crt", "none"), "1: @none cannot be read: No such file"),
        (
            SERVER.replace("server.key", "client.key"),
            "1: @server.crt and the key @client.key are no PEM certificate and its key",
        ),
        (
            SERVER.replace("server.key", "locked.key"),
            "1: @server.crt and the key @locked.key are no PEM",
        ),
        (SERVER.replace("server.crt", "ca.key"), "1: @ca.key and the key @server.key are no PEM"),
        (SERVER + "tls-ca-cert-file = @ca.key", "3: @ca.key holds no PEM certificates"),
        (SERVER + "tls-ca-cert-dir = @none", "3: @none cannot be read"),
        (SERVER + "tls-ciphers = none-such", "3: OpenSSL knows none of the ciphers 'none-such'"),
        (
            SERVER + "tls-verify-clients = true",
            "3: clients need a certificate, but tls-ca-cert-file does not say whose",
        ),
        ("tls-verify-clients = maybe", "1: 'maybe' is neither true nor false"),
        ("tls-cert = x", "1: 'tls-cert' is no setting; there are tls-cert-file"),
        ("tls-ciphers =", "1: 'tls-ciphers' has no value"),
        ("tls-cert-file", "1: 'tls-cert-file' is no setting; write: name = value"),
    ],
)
def test_what_is_wrong_is_said_by_file_and_line(certificates: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        server_context(settings(certificates, text))
    assert f"tls.conf:{expected}".replace("@", f"{certificates}/") in str(caught.value)


def test_required_client_certificates_need_a_certificate_of_the_daemon() -> None:
    with pytest.raises(ConfigurationError, match=r"tls\.conf: client certificates are required \(-Q\)"):
        server_context(TlsSettings(), certificate_required=True)


def test_a_client_reports_its_own_mistakes(certificates: Path) -> None:
    with pytest.raises(ConfigurationError, match="tls-client-cert-file is set but tls-client-key-file is not"):
        client_context(settings(certificates, "tls-client-cert-file = @client.crt"))


def test_stocks_own_file_is_read_and_says_nothing_yet() -> None:
    path = Path("/etc/pcp/tls.conf")
    require(path.exists(), "stock's tls.conf")
    assert not TlsSettings.load(path).has_server
    assert not TlsSettings.load(None).has_server
