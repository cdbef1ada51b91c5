"""A message of AMQP as this adapter sees it: properties and a body, delivered, returned or fetched."""

import struct
from dataclasses import dataclass
from typing import Final

from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

_HEADER, _BODY = 2, 3
_END: Final = b"\xce"
_FRAME = struct.Struct(">BHI")
_CONTENT = struct.Struct(">HHQHB")
_BATCH: Final = 1 << 12 | 1 << 7
"""Flags of a header that has a delivery mode and a message id."""
OVERHEAD: Final = 8
"""Bytes of a frame beside what is in it (AMQP 0-9-1 §2.3.5)."""


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of a message that this adapter uses (AMQP 0-9-1, class basic)."""

    message_id: str = ""
    correlation_id: str = ""
    reply_to: str = ""
    expiration: str = ""
    persistent: bool = False
    headers: dict[str, object] | None = None

    def header(self, size: int) -> ContentHeader:
        """The header of a message with a body of so many bytes; `headers` are not sent."""
        properties = Basic.Properties(
            message_id=self.message_id or None,
            correlation_id=self.correlation_id or None,
            reply_to=self.reply_to or None,
            expiration=self.expiration or None,
            delivery_mode=2 if self.persistent else 1,
        )
        return ContentHeader(body_size=size, properties=properties)


def framed(channel: int, publish: bytes, properties: Properties, body: bytes, largest: int) -> bytes:
    """The frames of a publish: the method, a header, and the body in parts of at most `largest` bytes a frame.

    A batch has nothing but its number. Its header is packed by hand: pamqp takes 30 µs for it, a third of what a batch costs.
    """
    if properties.correlation_id or properties.reply_to or properties.expiration or not properties.message_id:
        head = frame.marshal(properties.header(len(body)), channel)
    else:
        name = properties.message_id.encode()
        head = b"".join(
            (
                _FRAME.pack(_HEADER, channel, 16 + len(name)),
                _CONTENT.pack(60, 0, len(body), _BATCH, 2 if properties.persistent else 1),
                bytes((len(name),)),
                name,
                _END,
            )
        )
    step = largest - OVERHEAD
    parts = [publish, head]
    for start in range(0, len(body), step):
        part = body[start : start + step]
        parts += (_FRAME.pack(_BODY, channel, len(part)), part, _END)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Content:
    """A message that came."""

    tag: int
    """To acknowledge it by; 0 for what was returned."""
    redelivered: bool
    properties: Properties
    body: bytes


def read(header: ContentHeader) -> Properties:
    """The properties of a message that came."""
    found = header.properties
    return Properties(
        found.message_id or "",
        found.correlation_id or "",
        found.reply_to or "",
        found.expiration or "",
        found.delivery_mode == 2,
        None if found.headers is None else dict(found.headers),
    )
