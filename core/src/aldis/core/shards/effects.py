"""What a committed change sends, kept with it until its input can't come again."""

import msgspec

from aldis.core.contracts.envelope import Envelope


class Effect(msgspec.Struct, frozen=True, array_like=True):
    """One thing to send: `how` and `account` are the service's own words for where to, `name` is its part of the key."""

    how: str
    account: str
    name: str
    stanza: Envelope
    sessions: tuple[str, ...] = ()
    """Ids of the account's sessions that it is for, as they were when the change was made: who came later has learnt of it otherwise."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Effect, ...])


def encode(effects: tuple[Effect, ...]) -> bytes:
    """As kept in the outbox."""
    return _encoder.encode(effects)


def decode(data: bytes) -> tuple[Effect, ...]:
    """As they were."""
    return _decoder.decode(data)
