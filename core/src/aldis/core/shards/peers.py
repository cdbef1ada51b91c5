"""What comes from other shards: late epochs refused, repeats recognised."""

from collections import deque
from collections.abc import Callable, Sequence

from aldis.core.bus.port import PREFETCH
from aldis.core.contracts.sessions import Routed

Key = tuple[str, int, str, str]


class _Peer:
    """One sending shard: its epoch, and the keys that may come again in the order in which they came."""

    __slots__ = ("epoch", "keys", "order")

    def __init__(self) -> None:
        self.epoch = 0
        self.keys: set[Key] = set()
        self.order: deque[tuple[int, int, float, Key]] = deque()


class Peers:
    """The sending shards."""

    def __init__(self, repeats_for: float, now: Callable[[], float]) -> None:
        self._repeats_for = repeats_for
        self._now = now
        self._peers: dict[int, _Peer] = {}

    def accept(self, message: Routed, drop: Callable[[str], None]) -> Sequence[str]:
        """The accounts for which the message is new; none if its sender is no longer the shard's owner."""
        peer = self._peers.setdefault(message.shard, _Peer())
        if message.epoch < peer.epoch:
            drop("late-epoch")
            return ()
        peer.epoch = message.epoch
        now = self._now()
        self._forget(peer, message, now)
        origin = message.stanza.origin
        new = []
        for account in message.accounts:
            key = (origin.session, origin.n, message.effect, account)
            if key in peer.keys:
                drop("repeat")
                continue
            peer.keys.add(key)
            peer.order.append((message.epoch, message.mark, now, key))
            new.append(account)
        return new

    def _forget(self, peer: _Peer, message: Routed, now: float) -> None:
        """Drop the keys whose inputs the sender has acknowledged for long enough."""
        order = peer.order
        while order:
            epoch, mark, when, key = order[0]
            over = mark <= message.acked if epoch == message.epoch else message.acked >= PREFETCH
            if not over or now - when < self._repeats_for:
                return
            order.popleft()
            peer.keys.discard(key)
