"""What TLS costs the gateway: microseconds a small record and a handshake, MiB a second, and loop lag in a storm of connects.

Run it as `.venv/bin/python bench/micro_tls.py`; it needs nothing beside the code and takes some seconds.
"""

import asyncio
import contextlib
import ssl
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aldis.gateway.net.certificates import ensure_self_signed, load_context
from aldis.gateway.net.tls import TlsContexts, TlsLayer
from aldis.gateway.net.tls_gate import HandshakeGate

RECORDS = 20_000
STANZA = b"<message to='juliet@capulet.lit' type='chat' id='a1'><body>Art thou not Romeo, and a Montague?</body></message>"
STORM = 500


class Client:
    """The other end, on Python's own ssl module."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)

    def step(self, data: bytes = b"") -> bytes:
        """Shake hands one step further."""
        self.incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def send(self, data: bytes) -> bytes:
        """Encrypt."""
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        return self.outgoing.read()


def connected(contexts: TlsContexts, context: ssl.SSLContext) -> tuple[TlsLayer, Client, float]:
    """Connect a pair, and tell how long the server's part took."""
    layer, client, spent = TlsLayer(contexts), Client(context), 0.0
    output = client.step()
    while not layer.established:
        begin = time.perf_counter()
        layer.receive(output)
        answer = layer.take_output()
        spent += time.perf_counter() - begin
        output = client.step(answer)
    return layer, client, spent


def small_records(contexts: TlsContexts, context: ssl.SSLContext) -> None:
    """Time single stanzas, each in its own record and its own read."""
    layer, client, _ = connected(contexts, context)
    records = [client.send(STANZA) for _ in range(RECORDS)]
    begin = time.perf_counter()
    for record in records:
        layer.receive(record)
    received = time.perf_counter()
    for _ in range(RECORDS):
        layer.send(STANZA)
        layer.take_output()
    sent = time.perf_counter()
    each_in, each_out = ((end - start) / RECORDS * 1e6 for start, end in ((begin, received), (received, sent)))
    print(f"{layer.protocol} {layer.cipher}: receive {each_in:.1f} us, send {each_out:.1f} us a record")

    batches = [b"".join(client.send(STANZA) for _ in range(20)) for _ in range(RECORDS // 20)]
    begin = time.perf_counter()
    for batch in batches:
        layer.receive(batch)
    print(f"    twenty records in one read: {(time.perf_counter() - begin) / RECORDS * 1e6:.1f} us a record")


def bulk(contexts: TlsContexts, context: ssl.SSLContext) -> None:
    """Time 8 MiB each way, received in reads of 64 KiB."""
    layer, client, _ = connected(contexts, context)
    size = 8 << 20
    blob = bytes(size)
    sent = memoryview(client.send(blob))
    begin = time.perf_counter()
    for at in range(0, len(sent), 65536):
        layer.receive(sent[at : at + 65536])
    middle = time.perf_counter()
    layer.send(blob)
    layer.take_output()
    end = time.perf_counter()
    print(f"    bulk: receive {8 / (middle - begin):.0f} MiB/s, send {8 / (end - middle):.0f} MiB/s")


def handshakes(contexts: TlsContexts, context: ssl.SSLContext) -> None:
    """Time the server's part of full handshakes."""
    spent = [connected(contexts, context)[2] for _ in range(200)]
    print(f"    handshake, the server's part: {sorted(spent)[100] * 1e6:.0f} us (median of 200)")


async def storm(contexts: TlsContexts, context: ssl.SSLContext) -> None:
    """Start many handshakes in one loop turn, with the gate and without, and print the longest time between two turns."""
    loop = asyncio.get_running_loop()

    async def longest(admit: Callable[[Callable[[], object]], object], waiting: Callable[[], int]) -> tuple[float, float]:
        hellos = [Client(context).step() for _ in range(STORM)]
        layers = [TlsLayer(contexts) for _ in range(STORM)]
        gaps, last = [], time.perf_counter()
        begin = last
        for layer, hello in zip(layers, hellos, strict=True):
            admit(partial(layer.receive, hello))
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now
            if not waiting():
                return max(gaps), last - begin

    gate = HandshakeGate(loop)
    for name, admit, waiting in (("no gate", loop.call_soon, lambda: 0), ("gate", gate.admit, lambda: gate.waiting)):
        lag, total = await longest(admit, waiting)
        print(f"    storm of {STORM}, {name}: longest turn {lag * 1e3:.1f} ms, all through in {total * 1e3:.0f} ms")


def main() -> None:
    """Print all of it for TLS 1.3 and 1.2."""
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = ensure_self_signed(Path(directory), ["localhost"])
        loaded = load_context(certificate, key)
    contexts = TlsContexts.of(loaded.context, {})
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = version
        small_records(contexts, context)
        bulk(contexts, context)
        handshakes(contexts, context)
        asyncio.run(storm(contexts, context))


if __name__ == "__main__":
    main()
