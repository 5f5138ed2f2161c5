"""Certificates for the tests, and a daemon that speaks TLS."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

from tests.e2e.harness import Daemon, run_cli


def make_certificates(folder: Path, *clients: str) -> Path:
    """Make a CA, a server and clients with the command line, as a user would."""
    made = run_cli("tls", "init", "--dir", str(folder), "--name", "daemon.example")
    assert made.returncode == 0, made.stderr
    for client in clients:
        made = run_cli("tls", "client", client, "--dir", str(folder))
        assert made.returncode == 0, made.stderr
    return folder


def options(tls: Path, *, mutual: bool = False) -> list[str]:
    """Options of `serve` for TLS on both kinds of port."""
    given = ["--tls-certificate", str(tls / "server.pem"), "--tls-key", str(tls / "server.key")]
    given += ["--tls-client-ca", str(tls / "ca.pem")] if mutual else []
    return [*given, "--lines", "127.0.0.1:0", "--http", "127.0.0.1:0"]


def trusting(tls: Path, client: str | None = None) -> ssl.SSLContext:
    """What a client takes along."""
    context = ssl.create_default_context(cafile=tls / "ca.pem")
    if client is not None:
        context.load_cert_chain(tls / f"{client}.pem", tls / f"{client}.key")
    return context


def copy(source: Path, target: Path) -> None:
    """Put the server's certificate and key of one folder into another, as an administrator would."""
    for name in ("server.key", "server.pem"):
        shutil.copy(source / name, target / name)


def url(daemon: Daemon, scheme: str, tls: Path, client: str | None = None) -> str:
    """The daemon's address with everything a client needs."""
    host, port = daemon.place("http" if scheme.startswith("ws") else "lines")
    shown = f"&cert_file={tls}/{client}.pem&key_file={tls}/{client}.key" if client else ""
    return f"{scheme}://{host}:{port}{'/' if scheme.startswith('ws') else ''}?ca_file={tls}/ca.pem{shown}"


def rss_bytes(daemon: Daemon) -> int:
    """The memory of the daemon's process."""
    text = Path(f"/proc/{daemon.child.pid}/smaps_rollup").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("Rss:")).split()[1]) * 1024
