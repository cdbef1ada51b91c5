"""Health over HTTP: what probes get, and what rude clients get."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from aldis.core.service.health import MAX_CONNECTIONS, HealthServer, Readiness
from aldis.core.service.metrics import Tally


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def server(readiness: Readiness) -> AsyncIterator[HealthServer]:
    registry = CollectorRegistry()
    Tally(registry, "aldis_dead_letters_total", "Dead letters.").cell().n = 3
    server = HealthServer("127.0.0.1", 0, registry, readiness, seconds=0.5)
    await server.start()
    yield server
    await server.stop()


async def ask(server: HealthServer, request: bytes, *, pieces: int = 1) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    step = -(-len(request) // pieces)
    for start in range(0, len(request), step):
        writer.write(request[start : start + step])
        await asyncio.sleep(0)
    try:
        answer = await reader.read()
    except ConnectionError:
        answer = b""
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_metrics_are_served_as_text(server: HealthServer) -> None:
    status, body = await ask(server, get("/metrics?name=x"))
    assert status == b"HTTP/1.1 200 OK"
    assert b"\naldis_dead_letters_total 3.0\n" in body


async def test_readiness_gives_its_reasons_until_there_are_none(server: HealthServer, readiness: Readiness) -> None:
    readiness.set("database", "starting")
    assert await ask(server, get("/readyz")) == (b"HTTP/1.1 503 Service Unavailable", b"process: starting\ndatabase: starting\n")
    readiness.set("process", None)
    readiness.set("database", None)
    assert await ask(server, get("/readyz")) == (b"HTTP/1.1 200 OK", b"ready\n")
    assert await ask(server, get("/healthz"), pieces=9) == (b"HTTP/1.1 200 OK", b"ok\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/"), b"404 Not Found"),
        (b"POST /healthz HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /healthz\r\n\r\n", b"400 Bad Request"),
        (b"\r\n\r\n", b"400 Bad Request"),
        (b"GET /healthz HTTP/2.0\r\n\r\n", b"400 Bad Request"),
        (b"\xff\xfe \x00 HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /" + b"x" * 9000, b"431 Request Header Fields Too Large"),
    ],
)
async def test_what_is_no_probe_is_refused(server: HealthServer, request_: bytes, status: bytes) -> None:
    assert (await ask(server, request_))[0] == b"HTTP/1.1 " + status


async def test_a_client_that_dawdles_is_cut_off_and_others_are_served(server: HealthServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\n")
    assert (await ask(server, get("/healthz")))[1] == b"ok\n"
    with pytest.raises((ConnectionResetError, EOFError)):
        async with asyncio.timeout(5):
            await reader.readexactly(1)
    writer.close()


async def test_connections_are_bounded(server: HealthServer) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(MAX_CONNECTIONS)]
    assert await ask(server, get("/healthz")) == (b"", b"")
    for _, writer in idle:
        writer.close()
    await asyncio.sleep(0.05)
    assert (await ask(server, get("/healthz")))[1] == b"ok\n"
