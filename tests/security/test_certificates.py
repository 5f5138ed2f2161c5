"""Certificates from the command line: what is in them, who may read them, and what is never overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store

from tests.e2e.harness import run_cli
from tests.security.bed import make_certificates


def read(path: Path) -> x509.Certificate:
    """Read a certificate."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_certificates_are_what_clients_accept(tmp_path: Path) -> None:
    """P-256, made by the CA, each for its purpose alone; a verifier other than OpenSSL takes them."""
    tls = make_certificates(tmp_path / "tls", "ada")
    ca, server, ada = (read(tls / f"{name}.pem") for name in ("ca", "server", "ada"))
    for certificate in (ca, server, ada):
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
    verify = PolicyBuilder().store(Store([ca]))
    assert verify.build_server_verifier(x509.DNSName("daemon.example")).verify(server, [])
    assert verify.build_server_verifier(x509.DNSName("localhost")).verify(server, [])
    with pytest.raises(x509.verification.VerificationError):
        verify.build_server_verifier(x509.DNSName("evil.example")).verify(server, [])
    with pytest.raises(x509.verification.VerificationError):
        verify.build_client_verifier().verify(server, [])


def test_keys_are_for_their_owner(tmp_path: Path) -> None:
    """Keys are 0600, their folder 0700, and nothing half-written is left."""
    tls = make_certificates(tmp_path / "tls", "ada")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tls.iterdir()}
    assert modes == {
        **dict.fromkeys(("ca.key", "server.key", "ada.key"), 0o600),
        **dict.fromkeys(("ca.pem", "server.pem", "ada.pem"), 0o644),
    }
    assert tls.stat().st_mode & 0o777 == 0o700


def test_files_that_are_there(tmp_path: Path) -> None:
    """Nothing is overwritten unless one says so; then the CA and the names stay, and the key is a new one."""
    tls = make_certificates(tmp_path / "tls", "ada")
    before = {path.name: path.read_bytes() for path in tls.iterdir()}
    for command in (("init",), ("client", "ada")):
        refused = run_cli("tls", *command, "--dir", str(tls))
        assert refused.returncode == 2
        assert "exists and is not overwritten" in refused.stderr
    assert {path.name: path.read_bytes() for path in tls.iterdir()} == before
    renewed = run_cli("tls", "init", "--dir", str(tls), "--renew")
    assert renewed.returncode == 0, renewed.stderr
    assert "daemon.example" in renewed.stdout
    changed = {path.name for path in tls.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"server.key", "server.pem"}


@pytest.mark.parametrize("name", ["../eve", "ca", "server", "", ".hidden", "a/b", "a\nb", "x" * 65])
def test_name_of_a_client_that_is_none(tmp_path: Path, name: str) -> None:
    """A name that could lead elsewhere is refused."""
    refused = run_cli("tls", "client", name, "--dir", str(tmp_path))
    assert refused.returncode == 2
    assert "cannot be the name of a client" in refused.stderr


def test_show(tmp_path: Path) -> None:
    """Subjects, names, ends and fingerprints, for people and for scripts."""
    tls = make_certificates(tmp_path / "tls", "ada")
    shown = run_cli("tls", "show", "--dir", str(tls)).stdout
    for part in ("CN=ada (client)", "CN=daemon.example (server)", "(CA)", "days left", "localhost, daemon.example"):
        assert part in shown, shown
    found = json.loads(run_cli("tls", "show", str(tls / "ada.pem"), "--json").stdout)
    assert [one["subject"] for one in found] == ["CN=ada"]
    assert len(found[0]["fingerprint"]) == 95
    assert found[0]["fingerprint"] in shown
