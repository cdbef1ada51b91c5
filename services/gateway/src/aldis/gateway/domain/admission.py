"""Which new connections are let in: by how many there are, from this address and in all, and by how fast they come."""

import ipaddress
from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
MOST_ADDRESSES: Final = 50_000
"""That are remembered for their rate alone; who floods from more makes the oldest be forgotten."""


@dataclass(slots=True)
class _Address:
    connections: int = 0
    full: float = 0.0
    """When the bucket of new connections will be full again."""


class Admission:
    """Counts connections; 0 means unlimited."""

    def __init__(self, *, connections: int, per_address: int, per_minute: int) -> None:
        self._most = connections
        self._per_address = per_address
        self._per_minute = per_minute
        self._addresses: dict[str, _Address] = {}
        self.connections = 0

    def admit(self, peer: str, now: float) -> str:
        """Count a new connection and return nothing, or the reason why not."""
        if self._most and self.connections >= self._most:
            return "connections"
        name = network(peer)
        address = self._addresses.get(name)
        if address is None:
            if len(self._addresses) >= MOST_ADDRESSES + self.connections:
                self._forget(now)
            address = self._addresses[name] = _Address()
        if self._per_address and address.connections >= self._per_address:
            return "connections-per-address"
        if self._per_minute:
            full = max(address.full, now) + MINUTE / self._per_minute
            if full - now > MINUTE + 1e-6:
                return "connections-per-minute"
            address.full = full
        address.connections += 1
        self.connections += 1
        return ""

    def leave(self, peer: str, now: float) -> None:
        """A connection that was admitted is gone."""
        self.connections -= 1
        name = network(peer)
        address = self._addresses[name]
        address.connections -= 1
        if address.connections == 0 and address.full <= now:
            del self._addresses[name]

    def _forget(self, now: float) -> None:
        """Drop the addresses that have no connection and a full bucket, or else the one that waits longest."""
        idle = [name for name, address in self._addresses.items() if address.connections == 0]
        full = [name for name in idle if self._addresses[name].full <= now]
        for name in full or idle[: MOST_ADDRESSES // 10]:
            del self._addresses[name]


def network(peer: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that an IPv6 customer has."""
    if ":" not in peer:
        return peer
    try:
        address = ipaddress.IPv6Address(peer.partition("%")[0])
    except ValueError:
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
