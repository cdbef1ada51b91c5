"""Why a TLS connection ended: OpenSSL's reasons in words that an operator can use."""

from __future__ import annotations

from OpenSSL import SSL

_NO_TLS = "the bytes are no TLS"
_REASONS = {
    "unsupported protocol": "client speaks no TLS 1.2 or newer",
    "version too low": "client speaks no TLS 1.2 or newer",
    "tlsv1 alert protocol version": "client speaks no TLS 1.2 or newer",
    "no shared cipher": "client and server share no cipher",
    "no suitable signature algorithm": "client takes no signature of our certificate's kind",
    "no suitable key share": "client and server share no key exchange group",
    "no suitable groups": "client and server share no key exchange group",
    "http request": f"{_NO_TLS} (HTTP request)",
    "https proxy request": f"{_NO_TLS} (HTTP request)",
    "wrong version number": _NO_TLS,
    "unknown protocol": _NO_TLS,
    "data length too long": "a record is longer than TLS allows",
    "packet length too long": "a record is longer than TLS allows",
    "unexpected message": "client sent a TLS message out of turn",
    "decryption failed or bad record mac": "a record was damaged, forged or out of order",
    "inappropriate fallback": "client fell back to an older TLS than both speak",
}
_ALERT = " alert "


class TlsFailed(Exception):
    """The TLS connection is over; its text is the reason in one line, for the log and not for the peer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def not_tls(first: int) -> TlsFailed | None:
    """Say what a client speaks whose first byte is no TLS record, which OpenSSL would only notice five bytes later."""
    if first == 0x16:  # handshake (RFC 8446 §5.1)
        return None
    if first in b"< \r\n\t\xef":
        return TlsFailed(f"{_NO_TLS} (plain XMPP?)")
    if first in b"GPHODCT":
        return TlsFailed(f"{_NO_TLS} (HTTP request?)")
    return TlsFailed(_NO_TLS)


def failure(error: SSL.Error) -> TlsFailed:
    """Translate what OpenSSL raised; the oldest entry of its error queue is the cause, the others its consequences."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reason = str(entries[0][-1]) if entries else (str(error) or type(error).__name__)
    if reason in _REASONS:
        return TlsFailed(_REASONS[reason])
    if _ALERT in reason:
        alert = reason.partition(_ALERT)[2]
        if "certificate" in alert or alert == "unknown ca":
            return TlsFailed(f"client refused our certificate ({alert})")
        return TlsFailed(f"client gave up ({alert})")
    return TlsFailed(f"TLS failed: {reason}")
