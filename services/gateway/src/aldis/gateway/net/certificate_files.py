"""A certificate and its key from PEM files, checked before any client sees them; each fault names its setting and its mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from OpenSSL import SSL

from aldis.gateway.net.certificate_names import names_of
from aldis.gateway.net.tls_context import XMPP_CLIENT, ServerKey, server_context

_PUBLIC = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class CertificateProblem(Exception):
    """A certificate cannot be used; its text is one line with the setting, what is wrong and what mends it."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where one certificate is (with its chain, the server's own first) and its key; `setting` is how messages name the pair."""

    certificate: Path
    key: Path
    setting: str = "tls"


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate that OpenSSL takes, ready for connections."""

    context: SSL.Context
    names: frozenset[str]
    expires: datetime
    warnings: tuple[str, ...]


def load_context(
    certificate: Path,
    key: Path,
    *,
    setting: str = "tls",
    protocols: Sequence[bytes] = (XMPP_CLIENT,),
    now: datetime | None = None,
) -> ServerCertificate:
    """Read, check and join a certificate and its key; raises `CertificateProblem`, and only warns of dates and open modes."""
    chain = _chain(certificate, f"{setting}.certificate")
    private = _private_key(key, f"{setting}.key")
    _check_pair(chain, private, certificate, key, setting)
    _check_order(chain, certificate, f"{setting}.certificate")
    try:
        context = server_context(chain, private, protocols=protocols)
    except SSL.Error as error:
        reason = error.args[0][0][-1] if error.args and error.args[0] else error
        raise CertificateProblem(f"{setting}.certificate: OpenSSL refuses {certificate} ({reason}); use ECDSA P-256 or RSA 2048") from None
    own = chain[0]
    try:
        names = names_of(own)
    except (ValueError, x509.DuplicateExtension):
        raise CertificateProblem(f"{setting}.certificate: the extensions of {certificate} are malformed; have it issued again") from None
    return ServerCertificate(context, names, own.not_valid_after_utc, tuple(_warnings(own, certificate, key, setting, now)))


def _chain(path: Path, setting: str) -> list[x509.Certificate]:
    data = read_file(path, setting)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        if b"PRIVATE KEY-----" in data:
            mend = f"holds a private key and no certificate; is {setting.replace('certificate', 'key')} the other file?"
        elif data.startswith(b"\x30"):
            mend = "is DER, not PEM; convert it: openssl x509 -inform DER -in OLD -out NEW"
        else:
            mend = "is not PEM; it must hold '-----BEGIN CERTIFICATE-----' blocks, the server's own first"
        raise CertificateProblem(f"{setting}: {path} {mend}") from None


def _private_key(path: Path, setting: str) -> ServerKey:
    data = read_file(path, setting)
    try:
        key: PrivateKeyTypes = serialization.load_pem_private_key(data, None)
    except TypeError:  # cryptography: a pass phrase is missing
        raise CertificateProblem(
            f"{setting}: {path} is encrypted, and nobody is there to type a pass phrase; decrypt it: openssl pkey -in OLD -out NEW"
        ) from None
    except UnsupportedAlgorithm:
        raise CertificateProblem(f"{setting}: {path} is of an unknown kind; use ECDSA P-256 or RSA 2048") from None
    except ValueError:
        if b"-----BEGIN CERTIFICATE-----" in data:
            mend = f"holds a certificate and no private key; is {setting.replace('key', 'certificate')} the other file?"
        elif data.startswith(b"\x30"):
            mend = "is DER, not PEM; convert it: openssl pkey -inform DER -in OLD -out NEW"
        else:
            mend = "is not a PEM private key; it must hold one '-----BEGIN PRIVATE KEY-----' block"
        raise CertificateProblem(f"{setting}: {path} {mend}") from None
    if not isinstance(key, ServerKey):
        raise CertificateProblem(f"{setting}: {path} holds a {type(key).__name__}; use ECDSA P-256 or RSA 2048")
    return key


def read_file(path: Path, setting: str) -> bytes:
    """Read a file, or say which setting names it and what to do."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CertificateProblem(f"{setting}: {path} does not exist; give the path of a PEM file") from None
    except PermissionError:
        raise CertificateProblem(f"{setting}: {path} may not be read by this user; chown or chgrp it to the one that runs aldis") from None
    except OSError as error:
        raise CertificateProblem(f"{setting}: {path} cannot be read ({error.strerror}); give the path of a PEM file") from None


def _check_pair(chain: Sequence[x509.Certificate], key: ServerKey, certificate: Path, key_path: Path, setting: str) -> None:
    public = key.public_key().public_bytes(*_PUBLIC)
    try:
        matches = [link.public_key().public_bytes(*_PUBLIC) == public for link in chain]
    except (UnsupportedAlgorithm, ValueError):
        raise CertificateProblem(
            f"{setting}.certificate: {certificate} has a key of an unknown kind; use ECDSA P-256 or RSA 2048"
        ) from None
    if matches[0]:
        return
    if any(matches):
        raise CertificateProblem(
            f"{setting}.certificate: {certificate} begins with another certificate (the server's is number {matches.index(True) + 1}); "
            "put the server's first, then its issuers in order"
        )
    raise CertificateProblem(
        f"{setting}.key: {key_path} does not belong to the certificate in {certificate}; give the key it was made with"
    )


def _check_order(chain: Sequence[x509.Certificate], path: Path, setting: str) -> None:
    for number, (link, issuer) in enumerate(pairwise(chain), start=1):
        try:
            link.verify_directly_issued_by(issuer)
        except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
            raise CertificateProblem(
                f"{setting}: in {path} certificate {number} was not issued by certificate {number + 1}; "
                "put the server's first, then each one's issuer, and nothing else"
            ) from None


def _warnings(own: x509.Certificate, path: Path, key: Path, setting: str, now: datetime | None) -> list[str]:
    moment = now or datetime.now(UTC)
    found = []
    if own.not_valid_after_utc <= moment:
        found.append(f"{setting}.certificate: {path} expired on {own.not_valid_after_utc:%Y-%m-%d}; clients refuse it: renew it")
    elif own.not_valid_before_utc > moment:
        found.append(f"{setting}.certificate: {path} is valid only from {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; is the clock right?")
    if key.stat().st_mode & 0o007:
        found.append(f"{setting}.key: {key} can be used by every user of this machine; chmod 600 it")
    return found


def fingerprint(path: Path) -> str:
    """What a client shows of a certificate that it does not know, by SHA-256; empty if the file is gone meanwhile."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return ""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
