"""What the gateway counts."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from aldis.core.service.metrics import Level, Tally
from aldis.gateway.domain.stanzas import KINDS


class Figures:
    """Its metrics, with the cells of the hot path at hand."""

    def __init__(self, registry: CollectorRegistry) -> None:
        stanzas = Tally(registry, "aldis_stanzas_total", "Stanzas from and to clients.", ("kind", "direction"))
        self.taken = {name: stanzas.cell(name, "in") for name in KINDS}
        self.given = {kind: stanzas.cell(name, "out") for name, kind in KINDS.items()}
        self.sessions = Level(registry, "aldis_sessions", "Sessions that have a resource and a stream.").cell()
        self.shelved = Level(registry, "aldis_sessions_waiting", "Sessions whose stream broke and whose client may come back.").cell()
        self.connections = Level(registry, "aldis_connections", "Connections of clients.").cell()
        self.refused = Tally(registry, "aldis_connections_refused_total", "Connections that were not let in.", ("reason",))
        self.streams = Tally(registry, "aldis_streams_closed_total", "Streams that ended, by stream error.", ("condition",))
        self._waiting = Level(registry, "aldis_tls_handshakes_waiting", "Steps of TLS handshakes that wait for their turn.")
        self._expiry = Level(
            registry, "aldis_certificate_expiry_seconds", "When a certificate ends, in seconds since 1970.", ("certificate",)
        )

    def watch(self, waiting: Callable[[], int]) -> None:
        """Show how many steps of handshakes wait."""
        self._waiting.read(waiting)

    def expires(self, dates: dict[str, float]) -> None:
        """Show until when each certificate is good."""
        for path, date in dates.items():
            self._expiry.cell(path).n = date
