"""One connection to the broker: opened, kept alive by heartbeats, and once broken never mended."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from pamqp import commands
from pamqp.base import Frame
from pamqp.common import FieldTable

from aldis.core.bus.amqp.address import Address, CannotConnect
from aldis.core.bus.amqp.channel import Channel
from aldis.core.bus.amqp.wire import HEARTBEAT, LARGEST_FRAME, PROTOCOL_HEADER, Reader, Sink, WireError, method
from aldis.core.bus.port import BusAway

HEARTBEAT_SECONDS: Final = 5
"""Both sides take the other for dead after two of them without a word (AMQP 0-9-1 §4.2.7)."""
CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 3.0
ACCESS_REFUSED: Final = 403
NOT_ALLOWED: Final = 530
MOST_CHANNELS: Final = 2047


def _ignore(_: str) -> None:
    """Nobody minds."""


class Connection(asyncio.Protocol, Sink):
    """A connection, which is also the sink of its channel 0."""

    def __init__(self, address: Address, name: str) -> None:
        self._address = address
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = Reader(self._sink_of)
        self._channels: dict[int, Channel] = {}
        self._free: list[int] = []
        self._next = 1
        self._out: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._heard = self._said = self._loop.time()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.largest_frame = LARGEST_FRAME
        self.version = ""
        self.lost: str | None = None
        """Why the connection is over; None while it is there."""
        self.blocked = ""
        """Why the broker takes no publishes; empty while it does."""
        self.on_lost: Callable[[str], None] = _ignore
        self.on_blocked: Callable[[str], None] = _ignore

    # --- out

    def send(self, data: bytes) -> None:
        """Send at the end of this turn of the loop, together with what else is sent in it."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
            self._said = self._loop.time()
        self._out.clear()

    # --- channels

    async def channel(self) -> Channel:
        """Open one more channel."""
        if self.lost is not None:
            raise BusAway(self.lost)
        number = self._free.pop() if self._free else self._next
        if number == self._next:
            self._next += 1
        channel = self._channels[number] = Channel(self, number)
        await channel.ask(commands.Channel.Open(), commands.Channel.OpenOk)
        return channel

    def freed(self, number: int) -> None:
        """The channel is closed on both sides."""
        self._reader.forget(number)
        if self._channels.pop(number, None) is not None:
            self._free.append(number)

    def _sink_of(self, number: int) -> Sink | None:
        return self if number == 0 else self._channels.get(number)

    # --- in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what create_connection gives; narrows the type
        self._transport = transport
        self.send(PROTOCOL_HEADER)
        self._timer = self._loop.call_later(HEARTBEAT_SECONDS / 2, self._beat)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        try:
            self._reader.feed(data)
        except WireError as error:
            self.abort(str(error))

    def on_method(self, command: Frame) -> None:
        match command:
            case commands.Connection.Start():
                self._start()
            case commands.Connection.Tune():
                self._tune(command)
            case commands.Connection.OpenOk():
                if not self.opened.done():
                    self.opened.set_result(None)
            case commands.Connection.Close():
                self.send(method(0, commands.Connection.CloseOk()))
                self._flush()
                self._over(self._refusal(command.reply_code or 0, command.reply_text))
                self.abort(command.reply_text)
            case commands.Connection.CloseOk():
                self.abort("closed")
            case commands.Connection.Blocked():
                self.blocked = command.reason or "the broker is short of something"
                self.on_blocked(self.blocked)
            case commands.Connection.Unblocked():
                self.blocked = ""
                self.on_blocked("")

    def _start(self) -> None:
        """Log in (AMQP 0-9-1 §1.4.2.1); PLAIN, as every RabbitMQ offers it."""
        capabilities: FieldTable = {"authentication_failure_close": True, "basic.nack": True, "connection.blocked": True}
        capabilities |= {"consumer_cancel_notify": True, "publisher_confirms": True}
        address = self._address
        self.send(
            method(
                0,
                commands.Connection.StartOk(
                    client_properties={"product": "Aldis", "connection_name": self._name, "capabilities": capabilities},
                    mechanism="PLAIN",
                    response=f"\0{address.user}\0{address.password}",
                    locale="en_US",
                ),
            )
        )

    def _tune(self, command: commands.Connection.Tune) -> None:
        self.largest_frame = min(LARGEST_FRAME, command.frame_max or LARGEST_FRAME)
        channels = min(MOST_CHANNELS, command.channel_max or MOST_CHANNELS)
        tuned = commands.Connection.TuneOk(channel_max=channels, frame_max=self.largest_frame, heartbeat=HEARTBEAT_SECONDS)
        self.send(method(0, tuned))
        self.send(method(0, commands.Connection.Open(virtual_host=self._address.vhost)))

    def _refusal(self, code: int, text: str) -> CannotConnect:
        address = self._address
        if code == ACCESS_REFUSED:
            return address.wrong("the broker refuses this user or its password; mend them, or add the user with rabbitmqctl add_user")
        if code == NOT_ALLOWED and "not found" in text:
            return address.wrong(f"the broker has no vhost {address.vhost}; mend it, or add it with rabbitmqctl add_vhost")
        if code == NOT_ALLOWED:
            return address.wrong(
                f"user {address.user} may not use vhost {address.vhost}; use another, or allow it with rabbitmqctl set_permissions"
            )
        return address.away(f"the broker closed the connection: {text}")

    # --- the end

    def _beat(self) -> None:
        """Say that we are here, and see whether the other side still is."""
        now = self._loop.time()
        if now - self._heard > 2 * HEARTBEAT_SECONDS:
            self.abort(f"nothing was heard of the broker for {now - self._heard:.0f} s")
            return
        if now - self._said >= HEARTBEAT_SECONDS / 2 - 0.1 and self._transport is not None:
            self._transport.write(HEARTBEAT)
        self._timer = self._loop.call_later(HEARTBEAT_SECONDS / 2, self._beat)

    def abort(self, why: str) -> None:
        """Break it off at once."""
        self._over(self._address.away(why))
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        reason = "the connection broke" if self.opened.done() else "the broker closed the connection at once; is it another port?"
        self._over(self._address.away(f"{reason} ({error})" if error else reason))
        if not self._gone.done():
            self._gone.set_result(None)

    def _over(self, why: CannotConnect) -> None:
        if self.lost is not None:
            return
        self.lost = str(why)
        if self._timer is not None:
            self._timer.cancel()
        if not self.opened.done():
            self.opened.set_exception(why)
            self.opened.exception()
        for channel in list(self._channels.values()):
            channel.end(BusAway(self.lost))
        self._channels.clear()
        self.on_lost(self.lost)

    async def close(self) -> None:
        """Leave in order."""
        if self.lost is None:
            self.on_lost = _ignore
            self.send(method(0, commands.Connection.Close(200, "", 0, 0)))
            try:
                await asyncio.wait_for(asyncio.shield(self._gone), CLOSE_SECONDS)
            except TimeoutError:
                self.abort("the broker did not answer the goodbye")
        if self._transport is not None:
            await self._gone


async def open_connection(address: Address, name: str) -> Connection:
    """Connect and log in; raises `CannotConnect`."""
    context = await asyncio.to_thread(address.context) if address.tls else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(lambda: Connection(address, name), address.host, address.port, ssl=context)
            try:
                await asyncio.shield(connection.opened)
            except BaseException:
                connection.abort("given up")
                raise
            return connection
    except ssl.SSLCertVerificationError as error:
        raise address.wrong(f"the broker's certificate is not good ({error.verify_message}); name its authority with ?ca=FILE") from None
    except ssl.SSLError as error:
        what = "there is no TLS on this port; use amqp:// or the TLS port" if error.reason == "WRONG_VERSION_NUMBER" else str(error.reason)
        raise address.wrong(what) from None
    except TimeoutError:
        raise address.away(f"no answer within {CONNECT_SECONDS:.0f} s; is the broker running there?") from None
    except OSError as error:
        raise address.away(f"{error.strerror or error}; is the broker running there?") from None
