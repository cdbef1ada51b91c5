"""What a bus does, as metrics: the same for one in memory and one over a broker."""

from typing import Final

from prometheus_client import CollectorRegistry

from aldis.core.service.metrics import Spread, Tally

BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class BusFigures:
    """The metrics, as callbacks for an adapter."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent: Final = Spread(registry, "aldis_bus_batch_stanzas", "Messages that travelled together.", bounds=BATCH_SIZES).observe
        self._dead = Tally(
            registry, "aldis_dead_letters_total", "Messages that were put aside, since handling them failed again and again."
        ).cell()
        self._refused = Tally(registry, "aldis_bus_refused_total", "Messages that came again or out of order, and were refused.").cell()

    def dead(self, count: int) -> None:
        """Messages were dead-lettered."""
        self._dead.n += count

    def refused(self, count: int) -> None:
        """Messages were refused."""
        self._refused.n += count
