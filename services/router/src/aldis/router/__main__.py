"""`python -m aldis.router` and `aldis-router`: a router as a process of its own."""

import sys
from collections.abc import Sequence

from aldis.core.contracts.operation import Session
from aldis.core.policy import NoPolicy
from aldis.core.service import alone
from aldis.core.service.alone import Ground, Service
from aldis.core.service.operated import Operated, State
from aldis.core.service.process import Part
from aldis.core.shards import store
from aldis.core.shards.leases import Pace
from aldis.router.app import Router, migrations
from aldis.router.settings import RouterSettings


def make(ground: Ground[RouterSettings]) -> Sequence[Part]:
    """The router's parts."""
    host = ground.host
    router = Router(
        settings=host.settings,
        bus=ground.bus,
        database=ground.database,
        clock=host.clock,
        registry=host.registry,
        policy=NoPolicy(),
        process=host.process,
        drop=ground.dropped,
        log=host.log,
        pace=Pace(),
    )

    def look() -> State:
        shards = router.shards()
        return State(sessions=sum(shard.sessions for shard in shards), shards=shards)

    def sessions() -> list[Session]:
        return [Session(session.jid, session.peer) for found in router.users().values() for session in found]

    return [router, Operated("router", ground.name, ground.bus, host.clock, host.process.readiness, look, sessions)]


def main() -> int:
    """Run it; the exit code."""
    return alone.main(Service("router", RouterSettings, make, (store.migrations(), migrations())))


if __name__ == "__main__":
    sys.exit(main())
