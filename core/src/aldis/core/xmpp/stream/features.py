"""What the server writes to negotiate a stream: header, features, the elements of TLS, SASL and bind (RFC 6120 §4 to §7)."""

from collections.abc import Sequence
from typing import Final

from aldis.core.xmpp.errors.stanza import StanzaError, escape
from aldis.core.xmpp.namespaces import BIND, CLIENT, SASL, SESSION, STREAMS, TLS
from aldis.core.xmpp.sasl import encode

SASL_CB: Final = "urn:xmpp:sasl-cb:0"
"""XEP-0440."""
FOOTER: Final = b"</stream:stream>"
PROCEED: Final = f"<proceed xmlns='{TLS}'/>".encode()
TLS_FAILURE: Final = f"<failure xmlns='{TLS}'/>".encode()


def header(domain: str, stream_id: str, to: str | None) -> bytes:
    """The response stream header; `to` only if the client said who it is (RFC 6120 §4.7.2)."""
    addressed = f" to='{escape(to)}'" if to is not None else ""
    return (
        f"<?xml version='1.0'?><stream:stream from='{escape(domain)}'{addressed} id='{escape(stream_id)}' version='1.0' xml:lang='en' "
        f"xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>"
    ).encode()


def features(*elements: bytes) -> bytes:
    """The `<stream:features/>` element (RFC 6120 §4.3.2)."""
    return b"<stream:features>" + b"".join(elements) + b"</stream:features>"


def starttls(*, required: bool) -> bytes:
    """The offer of STARTTLS (RFC 6120 §5.4.1)."""
    return f"<starttls xmlns='{TLS}'><required/></starttls>".encode() if required else f"<starttls xmlns='{TLS}'/>".encode()


def mechanisms(names: Sequence[str], bindings: Sequence[str]) -> bytes:
    """The offer of SASL (RFC 6120 §6.4.1) and, with a -PLUS mechanism, of the types of channel binding (XEP-0440)."""
    if not names:
        return b""
    offered = "".join(f"<mechanism>{escape(name)}</mechanism>" for name in names)
    sasl = f"<mechanisms xmlns='{SASL}'>{offered}</mechanisms>"
    if bindings and any(name.endswith("-PLUS") for name in names):
        types = "".join(f"<channel-binding type='{escape(binding)}'/>" for binding in bindings)
        sasl = f"<sasl-channel-binding xmlns='{SASL_CB}'>{types}</sasl-channel-binding>{sasl}"
    return sasl.encode()


def bind() -> bytes:
    """The offer of resource binding (RFC 6120 §7.4)."""
    # COMPAT: clients of RFC 3921 look for a session; `optional` tells the others that they need none.
    return f"<bind xmlns='{BIND}'/><session xmlns='{SESSION}'><optional/></session>".encode()


def challenge(data: bytes) -> bytes:
    """A step of SASL (RFC 6120 §6.4.3)."""
    return f"<challenge xmlns='{SASL}'>{encode(data)}</challenge>".encode()


def success(data: bytes | None) -> bytes:
    """The end of SASL, perhaps with additional data (RFC 6120 §6.4.6)."""
    return f"<success xmlns='{SASL}'/>".encode() if data is None else f"<success xmlns='{SASL}'>{encode(data)}</success>".encode()


def bound(iq: str, jid: str) -> bytes:
    """The answer to binding (RFC 6120 §7.6.1)."""
    return f"<iq type='result' id='{escape(iq)}'><bind xmlns='{BIND}'><jid>{escape(jid)}</jid></bind></iq>".encode()


def iq_error(iq: str, error: StanzaError) -> bytes:
    """A refused IQ (RFC 6120 §8.3)."""
    return f"<iq type='error' id='{escape(iq)}'>".encode() + error.to_xml() + b"</iq>"
