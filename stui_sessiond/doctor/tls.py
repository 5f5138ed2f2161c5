"""Can the TLS files be read, do they belong together, and for how long are they good?"""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

import msgspec

from stui_sessiond.doctor.finding import Finding
from stui_sessiond.doctor.folder import judge_private, look

SOON_S = 21 * 86400.0
_UTC_TIME, _EXPLICIT_0 = 0x17, 0xA0


class CertificateFacts(msgspec.Struct, frozen=True):
    """A certificate; times in seconds since 1970."""

    path: Path
    failure: str | None
    """Why it, or its key, cannot be used."""
    not_before: float = 0.0
    not_after: float = 0.0


def validity(pem: str) -> tuple[float, float]:
    """Read from when to when the first certificate of a file is good, in seconds since 1970.

    Raises:
        ValueError: it is no certificate.
    """
    end = "-----END CERTIFICATE-----"
    start = pem.find("-----BEGIN CERTIFICATE-----")
    if start < 0 or end not in pem[start:]:
        msg = "there is no certificate in it"
        raise ValueError(msg)
    der = ssl.PEM_cert_to_DER_cert(pem[start : pem.index(end, start) + len(end)])
    try:
        fields = _parts(_parts(_parts(der)[0][1])[0][1])
        position = 3 + (fields[0][0] == _EXPLICIT_0)  # version?, serial, algorithm, issuer, validity
        before, after = _parts(fields[position][1])[:2]
        return _time(*before), _time(*after)
    except (IndexError, ValueError) as error:
        msg = "the certificate cannot be read"
        raise ValueError(msg) from error


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Cut DER into tags and contents."""
    found = []
    at = 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        found.append((tag, data[at : at + size]))
        at += size
    return found


def _time(tag: int, text: bytes) -> float:
    shape = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text.decode(), shape).replace(tzinfo=UTC).timestamp()


def probe_certificate(certificate: Path, key: Path | None) -> CertificateFacts:
    """Read a certificate, and try it together with its key where there is one."""
    try:
        not_before, not_after = validity(certificate.read_text("ascii"))
        if key is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        words = {"KEY_VALUES_MISMATCH": "the key is not the one of the certificate"}
        return CertificateFacts(
            certificate, words.get(error.reason or "", f"it cannot be loaded: {error.reason or error}")
        )
    except OSError as error:
        return CertificateFacts(certificate, f"{error.filename or certificate}: {error.strerror or error}")
    except ValueError as error:
        return CertificateFacts(certificate, str(error))
    return CertificateFacts(certificate, None, not_before, not_after)


def judge_certificate(check: str, facts: CertificateFacts, now: float) -> Finding:
    """Judge whether it can be used now, and for how long."""
    path = quote(str(facts.path))
    if facts.failure is not None:
        advice = f"openssl x509 -in {path} -noout -subject -dates"
        return Finding("problem", check, f"{facts.path}: {facts.failure}", "the daemon cannot offer TLS", advice)
    until = datetime.fromtimestamp(facts.not_after, UTC).strftime("%Y-%m-%d %H:%MZ")
    renew = "renew it, then restart the daemon"
    if now >= facts.not_after:
        return Finding("problem", check, f"{facts.path} expired on {until}", "clients refuse it", renew)
    if now < facts.not_before:
        return Finding("problem", check, f"{facts.path} is not good yet", "clients refuse it", "date    # is it right?")
    if facts.not_after - now < SOON_S:
        return Finding("warning", check, f"{facts.path} expires on {until}", "clients will refuse it", renew)
    return Finding("ok", check, f"{facts.path}, good until {until}")


def check_tls(settings: object, me: int, now: float) -> list[Finding]:
    """Look at the files of the [tls] section; nothing where there is none."""
    section = getattr(settings, "tls", None)
    certificate, key, client_ca = (getattr(section, name, None) for name in ("certificate", "key", "client_ca"))
    found = []
    if certificate:
        facts = probe_certificate(Path(certificate), Path(key) if key else None)
        found.append(judge_certificate("TLS certificate", facts, now))
    if key:
        found.append(judge_private("TLS key", look(Path(key)), me, "file"))
    if client_ca:
        found.append(judge_certificate("TLS client CA", probe_certificate(Path(client_ca), None), now))
    return found
