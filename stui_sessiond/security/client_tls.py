"""How does the side that connects speak TLS? What it trusts, what it shows, and what is wrong when it does not work.

The files may stand in the address itself, so that whoever takes an address takes them along:
`tls://host:7447?ca_file=/path/ca.pem&cert_file=/path/me.pem&key_file=/path/me.key`.
"""

import ssl
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
        OSError, ssl.SSLError: a file cannot be used; `why` explains it.
    """
    context = ssl.create_default_context(cafile=files.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if files.cert_file is not None:
        context.load_cert_chain(files.cert_file, files.key_file, password=lambda: "")
    return context


_SAYS_NO = frozenset(
    {
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    }
)


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
    reason = seen.reason or ""
    if "CERTIFICATE_REQUIRED" in reason:
        return "the daemon wants a certificate of its clients; give one with cert_file and key_file"
    if reason in _SAYS_NO:
        return "the daemon does not accept this client's certificate; take one of the CA it trusts"
    if reason in {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"}:
        return "TLS 1.3 is not spoken there"
    if isinstance(seen, ssl.SSLEOFError) or reason in _NO_TLS:
        return NOT_SPOKEN
    if (
        reason in {"KEY_VALUES_MISMATCH", "PEM", "NO_START_LINE", "PEM_LIB", "NO_CERTIFICATE_OR_CRL_FOUND"}
        or not reason
    ):
        return f"ca_file, cert_file or key_file cannot be used: {reason.replace('_', ' ').lower() or seen}"
    return reason.replace("_", " ").lower()


NOT_SPOKEN = "TLS is not spoken there; if the daemon has no certificate, the address is tcp:// or ws://"

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST"})
_OTHER_NAME = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
