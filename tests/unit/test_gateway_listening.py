"""Sockets that listen: what asyncio makes of the connections that they accept."""

import asyncio
import socket

from aldis.gateway.net.listening import listen


async def test_no_answer_waits_for_a_delayed_acknowledgement() -> None:
    accepted: asyncio.Future[asyncio.BaseTransport] = asyncio.get_running_loop().create_future()

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.set_result(transport)

    (sock,) = listen("127.0.0.1", 0, "c2s.port")
    server = await asyncio.get_running_loop().create_server(Accepting, sock=sock)
    _, client = await asyncio.open_connection(*sock.getsockname())
    transport = await accepted
    assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    client.close()
    await client.wait_closed()
    transport.close()
    server.close()
