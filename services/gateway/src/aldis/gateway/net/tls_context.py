"""How our TLS is set (versions, ciphers, no resumption) and which certificate a server name gets: RFC 9325, RFC 6066 §3, XEP-0368."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from OpenSSL import SSL

from aldis.gateway.net.tls_binding import end_point
from aldis.gateway.net.tls_failure import TlsFailed

ServerKey = EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey | Ed448PrivateKey

XMPP_CLIENT = b"xmpp-client"
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"  # TLS 1.2: forward secrecy and AEAD (RFC 9325 §4.2); TLS 1.3 has nothing else

# No resumption: its tickets would be opened by one key for the whole process, it changes which Finished tls-unique means, and an
# XMPP session lasts hours, so that the millisecond of a full handshake is no cost.
_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET


def server_context(chain: Sequence[x509.Certificate], key: ServerKey, *, protocols: Sequence[bytes] = (XMPP_CLIENT,)) -> SSL.Context:
    """Make the context of one certificate (its own first, then its issuers); raises `SSL.Error` if OpenSSL won't have them."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_alpn_select_callback(_choose_protocol(tuple(protocols)))
    context.use_certificate(chain[0])
    for issuer in chain[1:]:
        context.add_extra_chain_cert(issuer)
    context.use_privatekey(key)
    context.check_privatekey()
    context.set_app_data(end_point(chain[0]))
    return context


def _choose_protocol(protocols: tuple[bytes, ...]) -> Callable[[SSL.Connection, list[bytes]], bytes]:
    """Make the callback that OpenSSL calls if the client names application protocols; many name none, which is as good."""

    def choose(connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for protocol in protocols:
            if protocol in offered:
                return protocol
        # XEP-0368 §3: "when ALPN is used, the ALPN protocol MUST be 'xmpp-client'"; RFC 7301 §3.2 has the server end it with
        # no_application_protocol. It also keeps a browser from being led to talk HTTP to us.
        names = ", ".join(repr(name.decode("ascii", "backslashreplace")) for name in offered[:4])
        raise TlsFailed(f"client wants another protocol than XMPP by ALPN ({names})")

    return choose


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """The contexts of one listener at one time; a reload makes new ones, and a connection keeps those it began with."""

    default: SSL.Context
    by_name: Mapping[str, SSL.Context]
    """Server names in lower case to contexts; `*.example.org` stands for one label more."""

    @classmethod
    def of(cls, default: SSL.Context, by_name: Mapping[str, SSL.Context]) -> TlsContexts:
        """Join contexts that no connection has used yet: the default one learns to hand over to the others."""
        contexts = cls(default, dict(by_name))
        if any(context is not default for context in by_name.values()):
            default.set_tlsext_servername_callback(contexts._switch)
        return contexts

    def choose(self, server_name: str) -> SSL.Context:
        """Find the context for a name; an unknown name gets the default, for the client to judge (RFC 6066 §3 allows both)."""
        name = server_name.lower().rstrip(".")
        found = self.by_name.get(name) or self.by_name.get("*." + name.partition(".")[2])
        return found or self.default

    def _switch(self, connection: SSL.Connection) -> None:
        name = connection.get_servername()
        if name is not None:
            chosen = self.choose(name.decode("ascii", "replace"))
            if chosen is not self.default:
                connection.set_context(chosen)
