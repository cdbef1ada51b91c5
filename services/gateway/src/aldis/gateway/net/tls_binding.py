"""Channel bindings of a TLS connection: RFC 9266 tls-exporter, RFC 5929 tls-unique and tls-server-end-point."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL
from OpenSSL._util import lib

_EXPORTER_LABEL = b"EXPORTER-Channel-Binding"  # RFC 9266 §2
_EXPORTER_BYTES = 32
_TOO_WEAK = ("md5", "sha1")


def end_point(certificate: x509.Certificate) -> bytes | None:
    """Hash a certificate as RFC 5929 §4.1 says; None where it leaves the binding undefined (EdDSA signatures)."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    return certificate.fingerprint(hashes.SHA256() if algorithm.name in _TOO_WEAK else algorithm)


def bindings(connection: SSL.Connection, certificate_hash: bytes | None) -> dict[str, bytes]:
    """Return the bindings that the server end of an established connection can offer."""
    found: dict[str, bytes] = {}
    modern = connection.get_protocol_version() >= SSL.TLS1_3_VERSION
    if modern or _extended_master_secret(connection):
        found["tls-exporter"] = connection.export_keying_material(_EXPORTER_LABEL, _EXPORTER_BYTES, b"")
    if certificate_hash is not None:
        found["tls-server-end-point"] = certificate_hash
    if not modern:
        # RFC 5929 §3.1: the first Finished. That is the client's in a full handshake and the server's in a resumed one;
        # tls_context turns resumption off and renegotiation too, so it is always the client's. RFC 9266 §3: undefined in TLS 1.3.
        first = connection.get_peer_finished()
        if first is not None:
            found["tls-unique"] = first
    return found


def _extended_master_secret(connection: SSL.Connection) -> bool:
    """Tell whether TLS 1.2 used RFC 7627, without which RFC 9266 §4.2 forbids tls-exporter.

    pyOpenSSL binds the question but gives it no method, so this reaches for its private names, here alone; where a version
    lacks them the answer is no, and the binding is not offered.
    """
    ask = getattr(lib, "SSL_get_extms_support", None)
    handle = getattr(connection, "_ssl", None)
    return ask is not None and handle is not None and ask(handle) == 1
