"""`python -m aldis.gateway` and `aldis-gateway`: a gateway as a process of its own."""

import sys
from collections.abc import Sequence
from pathlib import Path

from aldis.core.contracts.operation import Certificate, Listening
from aldis.core.service import alone
from aldis.core.service.alone import Ground, Service
from aldis.core.service.operated import Operated, State
from aldis.core.service.process import Part
from aldis.core.shards import store
from aldis.core.shards.leases import Pace
from aldis.core.shards.registry import SqlRegistry
from aldis.gateway.app import Gateway
from aldis.gateway.net.certificate_files import fingerprint
from aldis.gateway.settings import GatewaySettings


def make(ground: Ground[GatewaySettings]) -> Sequence[Part]:
    """The gateway's parts."""
    host = ground.host
    gateway = Gateway(
        settings=host.settings,
        bus=ground.bus,
        rolls=SqlRegistry(ground.database),
        shards=host.settings.bus.shards,
        clock=host.clock,
        registry=host.registry,
        drop=ground.dropped,
        log=host.log,
        pace=Pace(),
    )
    host.process.on_reload("certificate", gateway.reload)

    def look() -> State:
        return state(gateway, host.settings)

    return [gateway, Operated("gateway", ground.name, ground.bus, host.clock, host.process.readiness, look)]


def state(gateway: Gateway, settings: GatewaySettings) -> State:
    """What the gateway tells of itself."""
    status = gateway.status()
    ports = (("STARTTLS", status.ports.port), ("TLS", status.ports.tls_port))
    own = settings.tls.certificate is None
    return State(
        sessions=status.sessions,
        connections=status.connections,
        listening=tuple(Listening(name, settings.c2s.host, port) for name, port in ports if port),
        certificates=tuple(Certificate(path, date, own, fingerprint(Path(path))) for path, date in status.certificates.items()),
    )


def main() -> int:
    """Run it; the exit code."""
    return alone.main(Service("gateway", GatewaySettings, make, (store.migrations(),)))


if __name__ == "__main__":
    sys.exit(main())
