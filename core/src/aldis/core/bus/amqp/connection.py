"""One connection to the broker by aiormq: opened, kept alive by heartbeats, and once broken never mended."""

import asyncio
import itertools
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final

from aiormq import exceptions
from aiormq.connection import TransportFactory
from pamqp import commands
from yarl import URL

from aldis.core.bus.amqp.address import Address, CannotConnect
from aldis.core.bus.amqp.channel import Channel, Line
from aldis.core.bus.port import BusAway

HEARTBEAT_SECONDS: Final = 5
CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 3.0
LARGEST_FRAME: Final = 131_072
"""RabbitMQ's own default; larger frames would have to be allowed there."""
NOT_ALLOWED: Final = 530


def _ignore(_: str) -> None:
    """Nobody minds."""


def _ignore_end(_: Exception) -> None:
    """It is we who end it."""


class Connection:
    """A connection with its channels."""

    def __init__(self, address: Address, name: str, context: ssl.SSLContext | None) -> None:
        self._address = address
        self._line = _Line(address, name, context, self._alarm)
        self._channels: set[Channel] = set()
        self.lost: str | None = None
        """Why the connection is over; None while it is there."""
        self.blocked = ""
        """Why the broker takes no publishes; empty while it does."""
        self.on_lost: Callable[[str], None] = _ignore
        self.on_blocked: Callable[[str], None] = _ignore

    async def open(self) -> None:
        """Connect and log in; raises `CannotConnect`."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._line.connect()
        except TimeoutError:
            raise self._address.away(f"no answer within {CONNECT_SECONDS:.0f} s; is the broker running there?") from None
        except (exceptions.AMQPError, OSError, EOFError, ValueError) as error:
            raise self._refusal(error) from None
        finally:
            if not self._line.is_opened:
                self._line.abort()
        self._line.largest_frame = min(self._line.connection_tune.frame_max or LARGEST_FRAME, LARGEST_FRAME)
        self._line.when_over(self._over)

    def _refusal(self, error: Exception) -> CannotConnect:
        address, cause = self._address, error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return address.wrong(f"the broker's certificate is not good ({cause.verify_message}); name its authority with ?ca=FILE")
        if isinstance(cause, ssl.SSLError):
            plain = cause.reason == "WRONG_VERSION_NUMBER"
            return address.wrong("there is no TLS on this port; use amqp:// or the TLS port" if plain else str(cause.reason))
        if isinstance(error, exceptions.ProbableAuthenticationError):
            return address.wrong("the broker refuses this user or its password; mend them, or add the user with rabbitmqctl add_user")
        if isinstance(error, exceptions.ConnectionClosed) and len(error.args) == 2:
            return self._not_allowed(*error.args)
        if isinstance(error, exceptions.InvalidFrameError | exceptions.AuthenticationError):
            return address.wrong("what is there does not speak AMQP; is it another port?")
        if isinstance(error, exceptions.IncompatibleProtocolError | EOFError):
            return address.away("the broker closed the connection at once; is it another port?")
        what = cause if isinstance(cause, OSError) else error
        return address.away(f"{getattr(what, 'strerror', None) or what}; is the broker running there?")

    def _not_allowed(self, code: int, text: str) -> CannotConnect:
        address = self._address
        if code != NOT_ALLOWED:
            return address.away(f"the broker closed the connection: {text}")
        if "not found" in text:
            return address.wrong(f"the broker has no vhost {address.vhost}; mend it, or add it with rabbitmqctl add_vhost")
        return address.wrong(
            f"user {address.user} may not use vhost {address.vhost}; use another, or allow it with rabbitmqctl set_permissions"
        )

    def _alarm(self, why: str) -> None:
        self.blocked = why
        self.on_blocked(why)

    async def channel(self) -> Channel:
        """Open one more channel; raises `BusAway`."""
        if self.lost is not None:
            raise BusAway(self.lost)
        channel = Channel(self._line, next(number for number in itertools.count(1) if number not in self._line.channels))
        self._channels.add(channel)
        channel.gone = self._channels.discard
        await channel.open()
        return channel

    # --- the end

    def _over(self, error: BaseException | None) -> None:
        if self.lost is None:
            why = f" ({error})" if error is not None and str(error) else ""
            self._end(f"the connection broke{why}")

    def _end(self, why: str) -> None:
        self.lost = str(self._address.away(why))
        for channel in list(self._channels):
            channel.end(BusAway(self.lost))
        self.on_lost(self.lost)

    def abort(self, why: str) -> None:
        """Break it off at once."""
        if self.lost is None:
            self._end(why)
        self._line.abort()

    async def close(self) -> None:
        """Leave in order."""
        self.on_lost = _ignore
        for channel in list(self._channels):
            channel.over = _ignore_end
        self._line.flush()
        try:
            if self.lost is None:  # aiormq drops what waits to be written
                await asyncio.wait_for(self._line.write_queue.join(), CLOSE_SECONDS)
            await self._line.close(None, timeout=CLOSE_SECONDS)
        except (TimeoutError, exceptions.AMQPError, OSError):
            self._line.abort()
        if self.lost is None:
            self.lost = "closed"


class _Line(Line):
    """With the broker's alarm told, and a hand on its transport."""

    HEARTBEAT_GRACE_MULTIPLIER = 2
    """The other side is dead after two heartbeats without a word (AMQP 0-9-1 §4.2.7)."""

    def __init__(self, address: Address, name: str, context: ssl.SSLContext | None, alarm: Callable[[str], None]) -> None:
        url = URL.build(
            scheme="amqps" if address.tls else "amqp",
            user=address.user,
            password=address.password,
            host=address.host,
            port=address.port,
            path="/",
            query={"heartbeat": str(HEARTBEAT_SECONDS), "name": name},
        )
        self._factory = _Transport()
        super().__init__(url, context=context, transport_factory=self._factory, client_properties={"product": "Aldis"})
        self.vhost = address.vhost
        self._alarm = alarm

    def when_over(self, callback: Callable[[BaseException | None], None]) -> None:
        """Call back as soon as nothing comes any more."""

        def over(reader: "asyncio.Future[Any]") -> None:
            callback(None if reader.cancelled() else reader.exception())

        self._reader_task.add_done_callback(over)

    def abort(self) -> None:
        """Break the connection."""
        self._factory.abort()

    # aiormq tells nobody of `connection.blocked`; these are its own handlers of it (7.2)

    async def _Connection__handle_connection_blocked(self, frame: commands.Connection.Blocked) -> None:  # noqa: N802
        self._alarm(frame.reason or "the broker is short of something")

    async def _Connection__handle_connection_unblocked(self, _: commands.Connection.Unblocked) -> None:  # noqa: N802
        self._alarm("")


class _Transport(TransportFactory):
    """TCP or TLS, with a hand on it."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect."""
        provider = kwargs.pop("ssl_context_provider")
        context = await provider.get_context() if url.scheme == "amqps" else None
        try:
            reader, self._writer = await asyncio.open_connection(url.host, url.port, ssl=context, **kwargs)
        except OSError as error:
            raise exceptions.AMQPConnectionError(*error.args) from error
        return reader, self._writer

    def abort(self) -> None:
        """Break it."""
        if self._writer is not None:
            self._writer.transport.abort()


async def open_connection(address: Address, name: str) -> Connection:
    """Connect and log in; raises `CannotConnect`."""
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it would tell, with addresses, is told by us
    context = await asyncio.to_thread(address.context) if address.tls else None
    connection = Connection(address, name, context)
    await connection.open()
    return connection
