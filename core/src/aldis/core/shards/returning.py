"""What gateways give back is taken once: a repeat of it, or of the delivery that was too late, would make a copy of it."""

from collections import OrderedDict
from collections.abc import Callable

from aldis.core.contracts.envelope import Envelope


class Returning:
    """What came back lately."""

    def __init__(self, repeats_for: float, now: Callable[[], float]) -> None:
        self._repeats_for = repeats_for
        self._now = now
        self._came: OrderedDict[tuple[str, int, int, str, str, str], float] = OrderedDict()

    def is_new(self, stanza: Envelope) -> bool:
        """Has it not come back before?"""
        now = self._now()
        while self._came and now - next(iter(self._came.values())) >= self._repeats_for:
            self._came.popitem(last=False)
        key = (stanza.origin.session, stanza.origin.n, stanza.kind, stanza.type, stanza.sender, stanza.to)
        if key in self._came:
            return False
        if self._repeats_for:
            self._came[key] = now
        return True
