"""How does the side that connects speak TLS? What it trusts, what it shows, and what is wrong when it does not work.

The files may stand in the address itself, so that whoever takes an address takes them along:
`tls://host:7447?ca_file=/path/ca.pem&cert_file=/path/me.pem&key_file=/path/me.key`.
"""

import ssl
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

FILE_NAMES = ("ca_file", "cert_file", "key_file")


class ClientTlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files in PEM; without a CA the system's are trusted, without a certificate none is shown."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


def read_files(query: str) -> ClientTlsFiles:
    """Read the files from the query of an address.

    Raises:
        ValueError: something else is in it.
    """
    found = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    for name in found:
        if name not in FILE_NAMES:
            msg = f"{name!r} is no part of an address; there is {', '.join(FILE_NAMES)}"
            raise ValueError(msg)
    return ClientTlsFiles(**found)


def with_files(url: str, files: ClientTlsFiles) -> str:
    """Put files into an address that speaks TLS; other addresses, and what an address says already, stay."""
    parts = urlsplit(url)
    if parts.scheme not in {"tls", "wss"}:
        return url
    given = {name: value for name in FILE_NAMES if (value := getattr(files, name)) is not None}
    return urlunsplit(parts._replace(query=urlencode({**given, **dict(parse_qsl(parts.query))})))


def make_context(files: ClientTlsFiles) -> ssl.SSLContext:
    """Make what checks the daemon's certificate and name, and shows ours.

    Raises:
        OSError: a file cannot be read; its `strerror` says which and why.
        ssl.SSLError: a file cannot be used; `why` explains it.
    """
    for name in FILE_NAMES:
        if (file := getattr(files, name)) is not None:
            _require_readable(name, file)
    context = ssl.create_default_context(cafile=files.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if files.cert_file is not None:
        context.load_cert_chain(files.cert_file, files.key_file, password=lambda: "")
    return context


def _require_readable(name: str, file: str) -> None:
    """The library does not say which file it does not find."""
    try:
        Path(file).read_bytes()
    except OSError as error:
        raise OSError(error.errno, f"{name} {file}: {error.strerror or error}") from None


def why(error: BaseException, host: str) -> str | None:
    """Explain a failure of TLS to a person, with the way out; None if it is none of TLS.

    Args:
        error: what was raised, with what caused it.
        host: the name in the address.
    """
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or seen.__context__
    if seen is None:
        return None
    if isinstance(seen, ssl.SSLCertVerificationError):
        if seen.verify_code in _OTHER_NAME:
            return f"the certificate there is not that of {host!r}; take a name that `tls show` lists for the daemon"
        return f"the certificate of {host!r} is not trusted ({seen.verify_message}); name its CA with ca_file"
    reason = (seen.reason or "").removeprefix("SSLV3_ALERT_").removeprefix("TLSV1_ALERT_").removeprefix("TLSV13_ALERT_")
    if isinstance(seen, ssl.SSLEOFError):
        return NOT_SPOKEN
    shown = reason.replace("_", " ").lower() or str(seen)
    return _MEANINGS.get(reason, f"TLS failed, or ca_file, cert_file or key_file cannot be used: {shown}")


NOT_SPOKEN = "TLS is not spoken there; if the daemon has no certificate, the address is tcp:// or ws://"

_SHOW_ONE = "the daemon wants a certificate of its clients; give one with cert_file and key_file"
_SHOW_ANOTHER = "the daemon does not accept this client's certificate; take one of the CA it trusts"
_TOO_OLD = "TLS 1.3 is not spoken there"
_MEANINGS = {
    "CERTIFICATE_REQUIRED": _SHOW_ONE,
    "UNKNOWN_CA": _SHOW_ANOTHER,
    "DECRYPT_ERROR": _SHOW_ANOTHER,
    "BAD_CERTIFICATE": _SHOW_ANOTHER,
    "CERTIFICATE_EXPIRED": _SHOW_ANOTHER,
    "CERTIFICATE_REVOKED": _SHOW_ANOTHER,
    "CERTIFICATE_UNKNOWN": _SHOW_ANOTHER,
    "UNSUPPORTED_CERTIFICATE": _SHOW_ANOTHER,
    "PROTOCOL_VERSION": _TOO_OLD,
    "UNSUPPORTED_PROTOCOL": _TOO_OLD,
    "WRONG_VERSION_NUMBER": NOT_SPOKEN,
    "RECORD_LAYER_FAILURE": NOT_SPOKEN,
    "UNEXPECTED_EOF_WHILE_READING": NOT_SPOKEN,
    "HTTP_REQUEST": NOT_SPOKEN,
}
"""What OpenSSL says, without the age of the alert, and what it means here."""

_OTHER_NAME = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
