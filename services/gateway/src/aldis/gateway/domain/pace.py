"""Token buckets: so much a second, so much at once; what is beyond waits."""

from typing import Final

SUPPLY: Final = 2.0
"""Seconds' worth that may come at once."""


class Pace:
    """One session's stanzas and bytes, each kept as the time at which its bucket would be full again."""

    __slots__ = ("_bytes", "_stanzas")

    def __init__(self) -> None:
        self._stanzas = 0.0
        self._bytes = 0.0

    def spend(self, stanzas: int, stanza_seconds: float, size: int, byte_seconds: float, now: float) -> float:
        """Take what came out of the buckets; how many seconds to wait before more is read.

        The costs of one stanza and one byte are in seconds, 0 for unlimited.
        """
        wait = 0.0
        if stanza_seconds:
            full = self._stanzas = max(self._stanzas, now) + stanzas * stanza_seconds
            wait = full - now - SUPPLY
        if byte_seconds:
            full = self._bytes = max(self._bytes, now) + size * byte_seconds
            wait = max(wait, full - now - SUPPLY)
        return max(wait, 0.0)
