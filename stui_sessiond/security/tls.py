"""What do we show to those who connect with TLS, and what do we want of them?

TLS 1.3 only. Certificate and key are read and checked together; what is wrong is told with the file and the way out.
"""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from stui_sessiond.errors import ConfigError
from stui_sessiond.security.alert import TellingContext

_OTHERS = 0o077
_OTHERS_OF_ROOT = 0o037
"""A key of root may be read by a group, as distributions do for services (`ssl-cert`); PostgreSQL has the same rule."""


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where certificate, key and, for mutual TLS, the CA of clients and images are."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def paths(self) -> Sequence[Path]:
        """All files."""
        return [path for path in (self.certificate, self.key, self.client_ca) if path is not None]


class ServerTls(msgspec.Struct, frozen=True, kw_only=True):
    """What was read from the files."""

    context: ssl.SSLContext
    names: Sequence[str]
    """Names and addresses the certificate is for, without patterns."""
    subject: str
    fingerprint: str
    """SHA-256 of the certificate."""
    ends_at: datetime


def load_server_tls(files: TlsFiles, now: datetime | None = None) -> ServerTls:
    """Read and check the files.

    Raises:
        ConfigError: one of them cannot be used; the text says which and why.
    """
    _check_key_mode(files.key)
    found = _describe(files.certificate, now or datetime.now(UTC))
    context = TellingContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nothing is resumed: what the files say now holds for every connection
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except ssl.SSLError as error:
        why = "the key is not that of the certificate" if error.reason == "KEY_VALUES_MISMATCH" else _reason(error)
        msg = f"tls: {files.certificate} and {files.key} cannot be used: {why}"
        raise ConfigError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"tls.key: {files.key}: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(msg) from None
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cafile=files.client_ca)
        except ssl.SSLError as error:
            msg = f"tls.client_ca: {files.client_ca} holds no certificates in PEM: {_reason(error)}"
            raise ConfigError(msg) from None
        except OSError as error:
            msg = f"tls.client_ca: {files.client_ca}: {error.strerror}"
            raise ConfigError(msg) from None
    return ServerTls(
        context=context,
        names=found.names,
        subject=found.subject,
        fingerprint=found.fingerprint,
        ends_at=found.ends_at,
    )


def check_key_mode(path: Path) -> str | None:
    """Tell why a key file must not be used: others could read it. None: it may.

    Raises:
        OSError: it cannot be looked at.
    """
    found = path.stat()
    open_to = found.st_mode & (_OTHERS_OF_ROOT if found.st_uid == 0 else _OTHERS)
    return f"{path} can be read by other users; `chmod 600 {path}`" if open_to else None


def _check_key_mode(path: Path) -> None:
    try:
        wrong = check_key_mode(path)
    except OSError as error:
        msg = f"tls.key: {path}: {error.strerror}"
        raise ConfigError(msg) from None
    if wrong is not None:
        msg = f"tls.key: {wrong}"
        raise ConfigError(msg)


class _Described(msgspec.Struct, frozen=True):
    names: Sequence[str]
    subject: str
    fingerprint: str
    ends_at: datetime


def _describe(path: Path, now: datetime) -> _Described:
    from stui_sessiond.security.certificates import describe, read_certificates  # noqa: PLC0415 -- slow to import

    try:
        found = describe(read_certificates(path)[0])
    except OSError as error:
        msg = f"tls.certificate: {path}: {error.strerror}"
        raise ConfigError(msg) from None
    except ValueError:
        msg = f"tls.certificate: {path} holds no certificate in PEM"
        raise ConfigError(msg) from None
    if found.ends_at <= now:
        msg = f"tls.certificate: {path} ended at {found.ends_at:%Y-%m-%d %H:%M} UTC; make or get a new one"
        raise ConfigError(msg)
    if found.begins_at > now:
        msg = f"tls.certificate: {path} begins at {found.begins_at:%Y-%m-%d %H:%M} UTC only; check the clock"
        raise ConfigError(msg)
    names = [name for name in found.names if "*" not in name]
    return _Described(names, found.subject, found.fingerprint, found.ends_at)


def _no_password() -> str:
    """Stand in for the terminal, where OpenSSL would ask.

    Raises:
        ValueError: always.
    """
    msg = "the key is encrypted; a daemon cannot be asked for a password: `openssl pkey` writes it without"
    raise ValueError(msg)


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()
