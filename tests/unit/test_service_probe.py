"""The probe that containers use in place of curl, against the health server that it asks."""

import asyncio

from prometheus_client import CollectorRegistry

from aldis.core.service.health import HealthServer, Readiness
from aldis.core.service.probe import probe


async def test_it_tells_what_healthz_and_readyz_say() -> None:
    readiness = Readiness()
    server = HealthServer("127.0.0.1", 0, CollectorRegistry(), readiness)
    await server.start()
    environ = {"ALDIS_METRICS__PORT": str(server.port)}
    assert await asyncio.to_thread(probe, "/healthz", environ) == (True, "ok")
    assert await asyncio.to_thread(probe, "/readyz", environ) == (False, "process: starting")
    readiness.set("process", None)
    assert await asyncio.to_thread(probe, "/readyz", environ) == (True, "ready")
    await server.stop()
    good, why = await asyncio.to_thread(probe, "/healthz", environ)
    assert not good
    assert "refused" in why
