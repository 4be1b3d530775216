"""HTTPS: the two files, and a server that speaks it."""

import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from embedstack.errors import ConfigError
from embedstack.server.tls import Tls, tls_of
from embedstack.settings import Settings

PROGRAM = Path(__file__).parent / "serve_fake.py"
PATIENCE_S = 20


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def settings(authority, tmp_path) -> Settings:
    """A certificate for this machine and its key."""
    issued = authority.issue_cert("127.0.0.1", "localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return Settings(tls_cert=str(cert), tls_key=str(key))


def test_two_files_that_fit_are_taken(settings):
    assert tls_of(settings) == Tls(Path(settings.tls_cert), Path(settings.tls_key))


def test_without_files_the_server_speaks_http():
    assert tls_of(Settings()) is None


@pytest.mark.parametrize(("left_out", "given"), [("tls_cert", "tls_key"), ("tls_key", "tls_cert")])
def test_one_file_alone_is_refused(settings, left_out, given):
    with pytest.raises(ConfigError, match=f"{given} is set and {left_out} is not"):
        tls_of(replace(settings, **{left_out: ""}))


@pytest.mark.parametrize("name", ["tls_cert", "tls_key"])
def test_a_file_that_is_not_there_is_named(settings, name, tmp_path):
    with pytest.raises(ConfigError, match=rf"{name}='.*absent' cannot be read \(No such file"):
        tls_of(replace(settings, **{name: str(tmp_path / "absent")}))


def test_a_key_of_another_certificate_is_refused(settings, authority):
    Path(settings.tls_key).write_bytes(authority.issue_cert("127.0.0.1").private_key_pem.bytes())

    with pytest.raises(ConfigError, match="cannot be used together"):
        tls_of(settings)


@pytest.mark.parametrize("text", ["", "no certificate"])
@pytest.mark.parametrize("name", ["tls_cert", "tls_key"])
def test_a_file_that_is_no_pem_is_refused(settings, name, text):
    Path(getattr(settings, name)).write_text(text)

    with pytest.raises(ConfigError, match="must be PEM, belong together, and the key must have no password"):
        tls_of(settings)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(settings, monkeypatch):
    path = Path(settings.tls_key)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"a password")
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))

    with pytest.raises(ConfigError, match="the key must have no password"):
        tls_of(settings)


@pytest.mark.slow
def test_a_server_with_a_certificate_speaks_https_and_says_so(settings, authority, start, monkeypatch):
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    monkeypatch.setenv("EMBEDSTACK_TLS_CERT", settings.tls_cert)
    monkeypatch.setenv("EMBEDSTACK_TLS_KEY", settings.tls_key)

    with start() as server:
        reply = httpx.post(f"{server.url}/embed", json={"inputs": "a"}, verify=trusted)

    assert server.url.startswith("https://127.0.0.1:")
    assert reply.status_code == 200


@pytest.mark.slow
def test_a_server_offers_only_modern_ciphers_to_older_clients(settings, authority, start, monkeypatch):
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    trusted.maximum_version = ssl.TLSVersion.TLSv1_2
    trusted.set_ciphers("ECDHE+AESGCM")
    monkeypatch.setenv("EMBEDSTACK_TLS_CERT", settings.tls_cert)
    monkeypatch.setenv("EMBEDSTACK_TLS_KEY", settings.tls_key)

    with start() as server:
        assert httpx.get(f"{server.url}/livez", verify=trusted).status_code == 200


@pytest.mark.slow
def test_a_wrong_certificate_ends_the_start_before_anything_listens(settings, monkeypatch):
    monkeypatch.setenv("EMBEDSTACK_TLS_CERT", settings.tls_cert)

    done = subprocess.run(
        [sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert done.returncode == 2
    assert "tls_cert is set and tls_key is not" in done.stderr
    assert "event=starting" not in done.stderr
