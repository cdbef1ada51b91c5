"""A way to a database that breaks at a commit: before it has arrived, or when it is done and the answer is on its way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

COMMIT = b"COMMIT;\x00"


@dataclass
class Way:
    """A proxy on the loopback."""

    url: str = ""
    """The database's address by this way."""
    break_before: int = 0
    """So many commits do not arrive."""
    break_after: int = 0
    """So many commits arrive, and their answers do not."""
    broken: int = 0
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def carry(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter, host: str, port: int) -> None:
        """Be one connection."""
        server, ask = await asyncio.open_connection(host, port)
        silent = asyncio.Event()

        async def back() -> None:
            while data := await server.read(65_536):
                if not silent.is_set():
                    answer.write(data)
            answer.close()

        task = asyncio.ensure_future(back())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while data := await client.read(65_536):
                if COMMIT in data and (self.break_before or self.break_after):
                    self.broken += 1
                    silent.set()
                    if self.break_before:
                        self.break_before -= 1
                    else:
                        self.break_after -= 1
                        ask.write(data)
                        await asyncio.sleep(0.1)
                    break
                ask.write(data)
        except ConnectionError:
            pass
        finally:
            ask.close()
            answer.close()


@asynccontextmanager
async def way_to(url: str) -> AsyncIterator[Way]:
    """A way to the database at this address."""
    there = urlsplit(url)
    way = Way()
    assert there.hostname is not None
    assert there.port is not None
    host, port = there.hostname, there.port
    listening = await asyncio.start_server(lambda client, answer: way.carry(client, answer, host, port), "127.0.0.1", 0)
    mine = listening.sockets[0].getsockname()[1]
    way.url = urlunsplit(there._replace(netloc=there.netloc.replace(f":{port}", f":{mine}")))
    try:
        yield way
    finally:
        listening.close()
        for task in list(way._tasks):
            task.cancel()
