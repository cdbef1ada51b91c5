"""AMQP 0-9-1 as bytes, without I/O: what the hot path sends and reads is packed here by hand, the rest by pamqp.

A publish and its delivery are a method, a header and some body frames each (AMQP 0-9-1 §2.3.5). pamqp describes every
method and field, which costs more than all else that a batch needs.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pamqp import commands, frame, header
from pamqp.base import Frame
from pamqp.exceptions import PAMQPException

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"
FRAME_OVERHEAD: Final = 8
LARGEST_FRAME: Final = 131_072
"""RabbitMQ's own default; larger frames would have to be allowed there."""

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_END = 0xCE
_END_BYTE = b"\xce"
_FRAME = struct.Struct(">BHI")
_CONTENT = struct.Struct(">HHQH")
_LONG_LONG = struct.Struct(">Q")
_ACK = struct.Struct(">BHIIQBB")
_BASIC = 60
_DELIVER = _BASIC << 16 | 60
_ACKED = _BASIC << 16 | 80
_NACKED = _BASIC << 16 | 120
_DELIVERY_MODE, _PRIORITY_FLAG, _CORRELATION_ID, _REPLY_TO, _EXPIRATION, _MESSAGE_ID = 1 << 12, 1 << 11, 1 << 10, 1 << 9, 1 << 8, 1 << 7
_SIMPLE: Final = _DELIVERY_MODE | _MESSAGE_ID
"""The properties of every batch, which are read by hand."""


class WireError(Exception):
    """The peer sent what is not AMQP 0-9-1."""


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of a message that this adapter uses (AMQP 0-9-1, class basic)."""

    message_id: str = ""
    correlation_id: str = ""
    reply_to: str = ""
    expiration: str = ""
    persistent: bool = False
    headers: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A message that came: delivered to a consumer, returned to its publisher, or fetched."""

    method: Frame | None
    """None for a delivery, the dear object otherwise."""
    tag: int
    redelivered: bool
    properties: Properties
    body: bytes


def method(channel: int, command: Frame) -> bytes:
    """A method frame."""
    return frame.marshal(command, channel)


def address(channel: int, exchange: str, key: str, *, mandatory: bool = True) -> bytes:
    """The method frame of a publish, the same for all that goes to one destination."""
    return method(channel, commands.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory))


def _short(text: str) -> bytes:
    data = text.encode()
    return bytes((len(data),)) + data


def packed(properties: Properties) -> tuple[int, bytes]:
    """Flags and values of a content header; `headers` are not sent."""
    flags, values = _DELIVERY_MODE, b"\x02" if properties.persistent else b"\x01"
    for flag, value in (
        (_CORRELATION_ID, properties.correlation_id),
        (_REPLY_TO, properties.reply_to),
        (_EXPIRATION, properties.expiration),
        (_MESSAGE_ID, properties.message_id),
    ):
        if value:
            flags |= flag
            values += _short(value)
    return flags, values


def numbered(message_id: str, *, persistent: bool) -> tuple[int, bytes]:
    """The same for a batch, which has nothing but its number."""
    return _SIMPLE, (b"\x02" if persistent else b"\x01") + _short(message_id)


def content(channel: int, publish: bytes, flags: int, values: bytes, body: bytes, largest: int) -> list[bytes]:
    """The frames of a publish: the method frame from `address`, the header, and the body in parts of at most `largest`."""
    frames = [
        publish,
        _FRAME.pack(_HEADER, channel, 14 + len(values)),
        _CONTENT.pack(_BASIC, 0, len(body), flags),
        values,
        _END_BYTE,
    ]
    step = largest - FRAME_OVERHEAD
    if len(body) <= step:
        if body:
            frames += (_FRAME.pack(_BODY, channel, len(body)), body, _END_BYTE)
        return frames
    for start in range(0, len(body), step):
        part = body[start : start + step]
        frames += (_FRAME.pack(_BODY, channel, len(part)), part, _END_BYTE)
    return frames


def ack(channel: int, tag: int) -> bytes:
    """Acknowledge everything up to the tag."""
    return _ACK.pack(_METHOD, channel, 13, _ACKED, tag, 1, _END)


def ack_one(channel: int, tag: int) -> bytes:
    """Acknowledge only this one."""
    return _ACK.pack(_METHOD, channel, 13, _ACKED, tag, 0, _END)


class Sink:
    """Where one channel's frames go. All calls are synchronous."""

    def on_method(self, command: Frame) -> None:
        """A method without content."""

    def on_content(self, content: Content) -> None:
        """A message."""

    def on_confirm(self, tag: int, multiple: bool, good: bool) -> None:
        """The broker has a publish, or refuses it."""


class _Partial:
    """A message of which not everything has come."""

    __slots__ = ("method", "missing", "parts", "properties", "redelivered", "tag")

    def __init__(self, method: Frame | None, tag: int, *, redelivered: bool) -> None:
        self.method = method
        self.tag = tag
        self.redelivered = redelivered
        self.missing = -1
        self.parts: list[bytes] = []
        self.properties = Properties()


class Reader:
    """Cuts a stream of bytes into frames and hands them to their channels' sinks."""

    def __init__(self, sink_of: Callable[[int], Sink | None]) -> None:
        self._sink_of = sink_of
        self._rest = b""
        self._partial: dict[int, _Partial] = {}

    def feed(self, data: bytes) -> None:
        """Take more bytes; raises `WireError`."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        try:
            while end - at >= 7:
                kind, channel, size = _FRAME.unpack_from(data, at)
                stop = at + 7 + size
                if stop >= end:
                    if kind not in (_METHOD, _HEADER, _BODY, _HEARTBEAT) or size > LARGEST_FRAME:
                        raise WireError(_not_amqp(data[at : at + 8]))
                    break
                if data[stop] != _END:
                    raise WireError(_not_amqp(data[at : at + 8]))
                if kind == _BODY:
                    self._body(channel, data[at + 7 : stop])
                elif kind == _METHOD:
                    self._method(channel, data, at + 7, stop)
                elif kind == _HEADER:
                    self._header(channel, data, at + 7, stop)
                at = stop + 1
        except (struct.error, IndexError, ValueError, KeyError, PAMQPException) as error:
            raise WireError(f"a frame that can't be read: {error}") from error
        self._rest = data[at:]

    def forget(self, channel: int) -> None:
        """The channel is closed: what it was in the middle of will not go on."""
        self._partial.pop(channel, None)

    def _method(self, channel: int, data: bytes, at: int, stop: int) -> None:
        which = int.from_bytes(data[at : at + 4])
        if which == _DELIVER:
            at += 5 + data[at + 4]
            self._partial[channel] = _Partial(None, _LONG_LONG.unpack_from(data, at)[0], redelivered=bool(data[at + 8]))
            return
        sink = self._sink_of(channel)
        if sink is None:
            return  # of a channel that has been closed
        if which in (_ACKED, _NACKED):
            sink.on_confirm(_LONG_LONG.unpack_from(data, at + 4)[0], bool(data[at + 12] & 1), which == _ACKED)
            return
        command = frame.unmarshal(data[at - 7 : stop + 1])[2]
        if not isinstance(command, Frame):
            raise WireError("a method frame without a method")
        if isinstance(command, commands.Basic.Return):
            self._partial[channel] = _Partial(command, 0, redelivered=False)
        elif isinstance(command, commands.Basic.GetOk):
            self._partial[channel] = _Partial(command, command.delivery_tag or 0, redelivered=bool(command.redelivered))
        else:
            sink.on_method(command)

    def _header(self, channel: int, data: bytes, at: int, stop: int) -> None:
        partial = self._partial.get(channel)
        if partial is None:
            return
        _, _, size, flags = _CONTENT.unpack_from(data, at)
        at += 14
        if flags == _SIMPLE:
            partial.properties = Properties(data[at + 2 : at + 2 + data[at + 1]].decode(), persistent=data[at] == 2)
        else:
            partial.properties = _properties(data[at - 14 : stop])
        partial.missing = size
        if size == 0:
            self._whole(channel, partial)

    def _body(self, channel: int, part: bytes) -> None:
        partial = self._partial.get(channel)
        if partial is None:
            return
        partial.parts.append(part)
        partial.missing -= len(part)
        if partial.missing == 0:
            self._whole(channel, partial)

    def _whole(self, channel: int, partial: _Partial) -> None:
        del self._partial[channel]
        sink = self._sink_of(channel)
        if sink is not None:
            body = partial.parts[0] if len(partial.parts) == 1 else b"".join(partial.parts)
            sink.on_content(Content(partial.method, partial.tag, partial.redelivered, partial.properties, body))


def _properties(payload: bytes) -> Properties:
    read = header.ContentHeader()
    read.unmarshal(payload)
    found = read.properties
    return Properties(
        found.message_id or "",
        found.correlation_id or "",
        found.reply_to or "",
        found.expiration or "",
        found.delivery_mode == 2,
        None if found.headers is None else dict(found.headers),
    )


def _not_amqp(data: bytes) -> str:
    if data.startswith(b"AMQP"):
        return "it speaks another version of AMQP"
    return f"it does not speak AMQP (it sent {data!r})"
