"""Token buckets over many keys in a table of bounded size; time is an argument."""

from collections import OrderedDict
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network
from typing import Final

MOST_KEYS: Final = 20_000
_MOST_DEBT: Final = 10


class Throttle:
    """`burst` at once, then as many in `seconds`, for each key; a burst of 0 means unlimited.

    A full table forgets the key that was spent on longest ago: whoever makes it overflow has to come from as many addresses.
    """

    __slots__ = ("_burst", "_buckets", "_most", "_rate")

    def __init__(self, burst: int, seconds: float, *, most: int = MOST_KEYS) -> None:
        self._burst = burst
        self._rate = burst / seconds
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, key: str, now: float) -> bool:
        """Whether the key has a token left; takes none."""
        return self._burst == 0 or self._tokens(key, now) >= 1

    def spend(self, key: str, now: float) -> None:
        """Take a token from the key's bucket; what was allowed while it was the last is owed, up to ten bursts."""
        if self._burst == 0:
            return
        self._buckets[key] = max(-_MOST_DEBT * self._burst, self._tokens(key, now) - 1), now
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def _tokens(self, key: str, now: float) -> float:
        bucket = self._buckets.get(key)
        if bucket is None:
            return self._burst
        tokens, since = bucket
        return min(self._burst, tokens + (now - since) * self._rate)


def network(peer: str) -> str:
    """The key of a client's address: an IPv6 one counts by its /64, which is what one customer gets."""
    try:
        address = IPv6Address(peer.partition("%")[0])
    except AddressValueError:
        pass
    else:
        mapped = address.ipv4_mapped
        return str(mapped) if mapped is not None else str(IPv6Network((address, 64), strict=False))
    try:
        return str(IPv4Address(peer))
    except AddressValueError:
        return peer[:64]
