"""What was not handled, by reason: one counter for everything in a process."""

from prometheus_client import CollectorRegistry

from aldis.core.service.metrics import Tally


class Dropped:
    """Counts `aldis_dropped_total`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tally = Tally(registry, "aldis_dropped_total", "Stanzas and messages that were not handled, by reason.", ("reason",))

    def __call__(self, reason: str, count: int = 1) -> None:
        """Count some of this reason."""
        self._tally.cell(reason).n += count
