"""What the stream core is told of the gateway's settings."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from aldis.core.xmpp.stream.frames import BEFORE_AUTHENTICATION, FramerLimits
from aldis.core.xmpp.stream.settings import C2sSettings, Mechanisms
from aldis.gateway.features import xep_0077_registration, xep_0198_stream_management
from aldis.gateway.settings import GatewaySettings


def stream_settings(settings: GatewaySettings, mechanisms: Mechanisms, stream_id: Callable[[], str]) -> C2sSettings:
    """What the stream core needs to know of the settings."""
    limits, c2s = settings.limits, settings.c2s
    size = limits.stanza_bytes
    before = BEFORE_AUTHENTICATION
    registration = settings.registration.enabled
    return C2sSettings(
        domains=settings.domains,
        mechanisms=mechanisms,
        stream_id=stream_id,
        require_tls=c2s.require_tls and not c2s.plain_without_tls,
        extra_features=partial(_offers, registration=registration, in_the_clear=c2s.plain_without_tls),
        early_iqs=frozenset({xep_0077_registration.QUERY}) if registration else frozenset(),
        sasl_failures=limits.sasl_attempts,
        authenticate_seconds=limits.unauthenticated_seconds,
        bind_seconds=limits.bind_seconds,
        limits_before=replace(before, stanza_bytes=min(size, before.stanza_bytes)) if size else before,
        limits=FramerLimits(stanza_bytes=size),
    )


def _offers(_domain: str, secure: bool, authenticated: bool, *, registration: bool, in_the_clear: bool) -> bytes:
    """Offer XEP-0198 to who may bind or resume next, and registration where it is not refused then.

    That is only on a stream on which a password may travel (XEP-0077 §11).
    """
    if authenticated:
        return xep_0198_stream_management.STREAM_FEATURE
    return xep_0077_registration.STREAM_FEATURE if registration and (secure or in_the_clear) else b""
