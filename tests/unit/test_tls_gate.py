"""The gate for handshakes: one step a loop turn, in order, bounded."""

import asyncio
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from aldis.gateway.net.certificates import ensure_self_signed, load_context
from aldis.gateway.net.tls import TlsContexts, TlsLayer
from aldis.gateway.net.tls_gate import HandshakeGate


class Turns:
    """Counts the turns of the loop and the time it works between two, which other processes on the machine do not lengthen."""

    def __init__(self) -> None:
        self.count = 0
        self.gaps: list[float] = []
        self._last = time.thread_time()
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        now = time.thread_time()
        self.gaps.append(now - self._last)
        self._last = now
        self.count += 1
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> None:
        self._handle.cancel()


async def drained(gate: HandshakeGate) -> None:
    while gate.waiting:
        await asyncio.sleep(0)


async def test_steps_run_in_order_and_one_a_turn() -> None:
    gate = HandshakeGate(asyncio.get_running_loop())
    turns = Turns()
    ran: list[tuple[int, int]] = []
    for number in range(20):
        assert gate.admit(lambda number=number: ran.append((number, turns.count)))  # type: ignore[misc]
    assert ran == []
    await drained(gate)
    turns.stop()
    assert [number for number, _ in ran] == list(range(20))
    assert len({turn for _, turn in ran}) == 20


async def test_a_step_that_admits_its_next_one_does_not_get_two_turns_at_once() -> None:
    gate = HandshakeGate(asyncio.get_running_loop())
    turns = Turns()
    ran: list[tuple[str, int]] = []

    def first(name: str) -> None:
        ran.append((name, turns.count))
        gate.admit(lambda: ran.append((name + "'", turns.count)))

    gate.admit(partial(first, "a"))
    await drained(gate)
    gate.admit(partial(first, "b"))
    gate.admit(partial(first, "c"))
    await drained(gate)
    turns.stop()
    assert [name for name, _ in ran] == ["a", "a'", "b", "c", "b'", "c'"]
    assert len({turn for _, turn in ran}) == 6


async def test_over_the_bound_the_newest_is_refused() -> None:
    gate = HandshakeGate(asyncio.get_running_loop(), limit=3)
    ran: list[int] = []
    admitted = [gate.admit(partial(ran.append, number)) for number in range(5)]
    assert admitted == [True, True, True, False, False]
    assert gate.waiting == 3
    await drained(gate)
    assert ran == [0, 1, 2]
    assert gate.admit(partial(ran.append, 9))
    await drained(gate)
    assert ran == [0, 1, 2, 9]


async def test_a_step_that_raises_does_not_stop_the_others() -> None:
    loop = asyncio.get_running_loop()
    reported: list[object] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    gate = HandshakeGate(loop)
    ran: list[int] = []

    def fault() -> None:
        raise ZeroDivisionError

    gate.admit(fault)
    gate.admit(partial(ran.append, 1))
    await drained(gate)
    assert ran == [1]
    assert [type(error) for error in reported] == [ZeroDivisionError]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> TlsContexts:
    certificate, key = ensure_self_signed(Path(tmp_path_factory.mktemp("tls")), ["localhost"])
    return TlsContexts.of(load_context(certificate, key).context, {})


def hellos(count: int) -> list[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    found = []
    for _ in range(count):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        found.append(outgoing.read())
    return found


async def test_a_storm_of_real_handshakes_leaves_the_loop_to_the_others(contexts: TlsContexts) -> None:
    """Everybody's wait is one handshake, not five hundred: compared with the same storm without a gate."""
    layers: list[TlsLayer] = []

    def step(hello: bytes) -> None:
        layer = TlsLayer(contexts)
        layer.receive(hello)
        assert len(layer.take_output()) > 400
        layers.append(layer)

    def storm() -> list[Callable[[], None]]:
        return [partial(step, hello) for hello in hellos(500)]

    open_storm = storm()
    begin = time.thread_time()
    for run in open_storm:
        run()
    stall = time.thread_time() - begin

    gate = HandshakeGate(asyncio.get_running_loop())
    gated = storm()
    turns = Turns()
    for run in gated:
        assert gate.admit(run)
    await drained(gate)
    turns.stop()
    assert len(layers) == 1000
    assert turns.count >= 500
    gaps = sorted(turns.gaps)
    assert gaps[len(gaps) * 99 // 100] < stall / 20, f"stall {stall}, 99 % of turns {gaps[len(gaps) * 99 // 100]}"
