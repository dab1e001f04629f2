import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from peers import require


@dataclass(frozen=True)
class Tls:
    """Both ends of TLS, and a client that trusts nobody."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    distrustful: ssl.SSLContext


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    require(shutil.which("openssl"), "openssl, for certificates")
    directory: Path = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "cert.pem"
    subject = ["-subj", "/CN=collector", "-addext", "subjectAltName=DNS:collector", "-days", "2"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", *kind, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=certificate)
    return Tls(server, client, ssl.create_default_context())
