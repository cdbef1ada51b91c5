"""What the shell decides about c2s streams; shared by all streams of a listener."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from aldis.core.xmpp.stream.frames import AFTER_AUTHENTICATION, BEFORE_AUTHENTICATION, FramerLimits

Mechanisms = Callable[[str, bool, Sequence[str]], Sequence[str]]
"""Domain, whether TLS is on, types of channel binding → mechanisms to offer, strongest first."""
ExtraFeatures = Callable[[str, bool, bool], bytes]
"""Domain, whether TLS is on, whether the client is authenticated → feature elements to add."""


def no_extra_features(_domain: str, _secure: bool, _authenticated: bool) -> bytes:
    """Add nothing."""
    return b""


@dataclass(frozen=True, slots=True)
class C2sSettings:
    """Times are in seconds; 0 means unlimited."""

    domains: Sequence[str]
    """In their prepared form; the first one speaks when a client asks for none of them."""
    mechanisms: Mechanisms
    stream_id: Callable[[], str]
    """An unpredictable id for each header (RFC 6120 §4.7.3)."""
    starttls: bool = True
    """Offer STARTTLS where TLS is not on yet."""
    require_tls: bool = True
    extra_features: ExtraFeatures = no_extra_features
    early_iqs: Collection[str] = frozenset()
    """Clark names of payloads that an IQ may have before a resource is bound, such as `{jabber:iq:register}query`."""
    sasl_failures: int = 3
    """So many, and the stream is closed (RFC 6120 §6.4.5)."""
    authenticate_seconds: float = 30
    """From the connection on."""
    bind_seconds: float = 30
    """From authentication on."""
    silence_seconds: float = 0
    """After binding: a peer not heard of for so long is half-open and gone; the shell pings before."""
    limits_before: FramerLimits = BEFORE_AUTHENTICATION
    limits: FramerLimits = AFTER_AUTHENTICATION
