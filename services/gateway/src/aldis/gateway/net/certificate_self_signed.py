"""A certificate of our own making, so that the first `aldis serve` speaks TLS (RFC 5280, RFC 6120 §13.7.1.2)."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aldis.gateway.net.certificate_files import CertificateProblem, read_file
from aldis.gateway.net.certificate_names import alternative_names, ascii_domain

CERTIFICATE_FILE = "self-signed.crt"
KEY_FILE = "self-signed.key"

_MARK = "Aldis self-signed certificate"  # the issuer's organisation: only a certificate that says so is ever replaced
_MEND = "remove it, and a new one is made, or set tls.certificate and tls.key"
_LIFE = timedelta(days=825)  # the most that Apple's clients take
_RENEW_BEFORE = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)


def ensure_self_signed(directory: Path, domains: Sequence[str], *, now: datetime | None = None) -> tuple[Path, Path]:
    """Return the paths of a self-signed certificate for these domains and of its key, making what is missing.

    The certificate is made again when the domains changed, a month before it expires, or when the key is another; the key is
    kept, so that those who trust it go on. A file of these names that somebody else put there is used and never written; one
    that is of no use is left to the operator, since nobody can tell whose it was, unless it is empty.
    """
    moment = now or datetime.now(UTC)
    certificate, key = directory / CERTIFICATE_FILE, directory / KEY_FILE
    present = _certificate_in(certificate)
    if present is not None and not _is_ours(present):
        if not key.exists():
            raise CertificateProblem(f"data_dir: {certificate} was not made by aldis, and {KEY_FILE} is not beside it; {_MEND}")
        return certificate, key
    private = _make_key(key) if _is_blank(key) else _key_in(key)
    if present is None or not _is_current(present, private, domains, moment):
        _write(certificate, _make_certificate(private, domains, moment).public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate, key


def _is_blank(path: Path) -> bool:
    """Tell whether there is nothing in a file, or no file; a disk that was full may leave an empty one."""
    return not path.exists() or not read_file(path, "data_dir").strip()


def _certificate_in(path: Path) -> x509.Certificate | None:
    if _is_blank(path):
        return None
    try:
        return x509.load_pem_x509_certificate(read_file(path, "data_dir"))
    except ValueError:
        raise CertificateProblem(f"data_dir: {path} is no certificate; {_MEND}") from None


def _key_in(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(read_file(path, "data_dir"), None)
    except (TypeError, ValueError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateProblem(f"data_dir: {path} is no key made by aldis; {_MEND}")
    return key


def _is_ours(certificate: x509.Certificate) -> bool:
    organisations = certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return certificate.issuer == certificate.subject and [name.value for name in organisations] == [_MARK]


def _is_current(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, domains: Sequence[str], now: datetime) -> bool:
    if certificate.public_key() != key.public_key() or certificate.not_valid_after_utc - now < _RENEW_BEFORE:
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names) == set(alternative_names(domains))


def _make_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(path, pem, 0o600)
    return key


def _make_certificate(key: ec.EllipticCurvePrivateKey, domains: Sequence[str], now: datetime) -> x509.Certificate:
    public = key.public_key()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _MARK),
            x509.NameAttribute(NameOID.COMMON_NAME, ascii_domain(domains[0])[:64]),  # for people; X.520 has 64 at most
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    begin = now - _CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + _LIFE)
        .add_extension(x509.SubjectAlternativeName(alternative_names(domains)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all, and never with a wider mode than it will have."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise CertificateProblem(f"data_dir: {path} cannot be written ({error.strerror}); make the folder this user's") from None
