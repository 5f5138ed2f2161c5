"""How does one get certificates without an authority? A small CA of one's own, and what is in a certificate.

ECDSA P-256 throughout. Keys are written with mode 0600, and never over something that is there.
"""

import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stui_sessiond.security.kept_file import replace_file

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""What a server certificate is always for."""

CA_DAYS = 3650
LEAF_DAYS = 825
"""The longest that current clients take from a CA of one's own."""

_SKEW = timedelta(hours=1)
"""How far clocks of machines may be apart."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = frozenset({"ca", "server"})


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants to know of a certificate."""

    subject: str
    issuer: str
    names: Sequence[str]
    purpose: str
    begins_at: datetime
    ends_at: datetime
    fingerprint: str


class Pair(msgspec.Struct, frozen=True):
    """A certificate with its key, and where they are or will be."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Read all certificates of a PEM file.

    Raises:
        OSError: it cannot be read.
        ValueError: there are none.
    """
    return x509.load_pem_x509_certificates(path.read_bytes())


def describe(certificate: x509.Certificate) -> Described:
    """Tell what is in a certificate."""
    names: list[str] = []
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        names += alternatives.get_values_for_type(x509.DNSName)
        names += [str(address) for address in alternatives.get_values_for_type(x509.IPAddress)]
    return Described(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=names,
        purpose=_purpose(certificate),
        begins_at=certificate.not_valid_before_utc,
        ends_at=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    )


def _purpose(certificate: x509.Certificate) -> str:
    for kind, purpose in ((x509.BasicConstraints, "CA"), (x509.ExtendedKeyUsage, "")):
        try:
            value = certificate.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            continue
        if isinstance(value, x509.BasicConstraints) and value.ca:
            return purpose
        if isinstance(value, x509.ExtendedKeyUsage):
            known = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}
            return ", ".join(known.get(usage, usage.dotted_string) for usage in value)
    return "any"


def check_client_name(name: str) -> None:
    """Refuse a name that could not be that of a file.

    Raises:
        ValueError: with what is allowed.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        msg = (
            f"{name!r} cannot be the name of a client: letters, digits, `.`, `_` and `-`, 64 at most; not ca or server"
        )
        raise ValueError(msg)


def make_ca(now: datetime) -> Pair:
    """Make a CA that signs servers and clients only, and no other CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject(f"stui_sessiond local CA {now:%Y-%m-%d}")
    usage = _usage(signs=True)
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    builder = _builder(name, name, key, now, CA_DAYS).add_extension(constraints, critical=True)
    return Pair(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)


def make_server(ca: Pair, names: Sequence[str], now: datetime) -> Pair:
    """Make the certificate of a daemon that is reached under these names and the local ones.

    Raises:
        ValueError: one of them is no name of a host.
    """
    wanted = list(dict.fromkeys([*LOCAL_NAMES, *names]))
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in wanted])
    return _make_leaf(ca, names[0] if names else "localhost", ExtendedKeyUsageOID.SERVER_AUTH, now, alternatives)


def make_client(ca: Pair, name: str, now: datetime) -> Pair:
    """Make the certificate of a client or an image."""
    return _make_leaf(ca, name, ExtendedKeyUsageOID.CLIENT_AUTH, now, None)


def _make_leaf(
    ca: Pair, name: str, purpose: x509.ObjectIdentifier, now: datetime, names: x509.SubjectAlternativeName | None
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    days = min(LEAF_DAYS, (ca.certificate.not_valid_after_utc - now).days)
    builder = (
        _builder(_subject(name[:64]), ca.certificate.subject, key, now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(issuer, critical=False)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return Pair(builder.sign(ca.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not name or not name.isascii() or any(c.isspace() or c in "/:*@" for c in name):
        msg = f"{name!r} is neither the name of a host nor an IP address"
        raise ValueError(msg)
    return x509.DNSName(name.lower())


# ---- files


def read_pair(certificate: Path, key: Path) -> Pair:
    """Read a certificate and its key.

    Raises:
        OSError, ValueError: one of them cannot be read, or they do not belong together.
    """
    found = read_certificates(certificate)[0]
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    if not isinstance(secret, ec.EllipticCurvePrivateKey) or secret.public_key() != found.public_key():
        msg = f"{key} is not the key of {certificate}"
        raise ValueError(msg)
    return Pair(found, secret)


def write_pair(pair: Pair, certificate: Path, key: Path, *, replace: bool = False) -> None:
    """Write both files, the key for its owner alone.

    Args:
        pair: what is written.
        certificate: where to.
        key: the same.
        replace: put them in the place of others, each at once.

    Raises:
        FileExistsError: one is there already, and is not to be replaced.
        OSError: they cannot be written.
    """
    if not replace:
        for path in (certificate, key):
            if path.exists() or path.is_symlink():
                raise FileExistsError(str(path))
    secret = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    replace_file(key, secret)
    replace_file(certificate, pair.certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def now_utc() -> datetime:
    """Tell the time, without the fractions that certificates do not have."""
    return datetime.now(UTC).replace(microsecond=0)
