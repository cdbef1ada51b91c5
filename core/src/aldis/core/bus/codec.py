"""A batch as bytes: MessagePack of the contracts, any tag that a process of this version knows."""

from collections.abc import Sequence
from typing import get_args

import msgspec

from aldis.core.contracts import accounts, bus, operation, rejoin, resumption, services, sessions, shards
from aldis.core.contracts.base import Message

Known = (
    sessions.Bind
    | sessions.FromSession
    | sessions.SessionEnd
    | sessions.Written
    | sessions.Returned
    | sessions.Deliver
    | sessions.Bound
    | sessions.BindRefused
    | sessions.CloseSession
    | sessions.Note
    | sessions.Handled
    | sessions.Takeover
    | sessions.TakeoverAnswer
    | sessions.Routed
    | resumption.Enable
    | resumption.Enabled
    | resumption.Resume
    | resumption.Resumed
    | resumption.ResumeFailed
    | resumption.LetGo
    | accounts.SealKeyRequest
    | accounts.SealKey
    | accounts.DomainMechanismsRequest
    | accounts.DomainMechanisms
    | accounts.ScramChallengeRequest
    | accounts.ScramChallenge
    | accounts.ScramVerifyRequest
    | accounts.PlainVerifyRequest
    | accounts.Authenticated
    | accounts.AuthRefused
    | accounts.AccountExistsRequest
    | accounts.AccountExists
    | accounts.AccountCommand
    | accounts.AccountResult
    | accounts.AccountDeleted
    | accounts.AccountForgotten
    | accounts.AccountDisabled
    | services.Announce
    | services.WhoIsThere
    | services.IqRequest
    | services.IqResult
    | rejoin.Rejoin
    | rejoin.Aside
    | rejoin.Leaving
    | shards.ShardMoved
    | shards.MembersChanged
    | bus.Pace
    | bus.DeadLetter
    | operation.HowAreYou
    | operation.Process
    | operation.Sessions
    | operation.Echo
    | operation.Trace
)
"""Every message, as a tagged union."""


TAGS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Known))


class Unknown(Message, frozen=True, kw_only=True, tag="?"):
    """A message of a newer version, which its receiver drops and counts: it travels with others, and they are handled."""

    name: str


class _Tagged(msgspec.Struct):
    """What every message has."""

    kind: str


class Codec:
    """Encodes and decodes batches; one for each bus connection, because encoders keep a buffer."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[list[Known]] = msgspec.msgpack.Decoder(list[Known])

    def encode(self, messages: Sequence[Message]) -> bytes:
        """The bytes of a batch."""
        return self._encoder.encode(messages)

    def decode(self, data: bytes) -> list[Message]:
        """The batch again; raises `msgspec.MsgspecError` for what no version of the contracts wrote."""
        try:
            return list(self._decoder.decode(data))
        except msgspec.ValidationError:
            return [self._single(raw) for raw in msgspec.msgpack.decode(data, type=list[msgspec.Raw])]

    @staticmethod
    def _single(raw: msgspec.Raw) -> Message:
        tag = msgspec.msgpack.decode(raw, type=_Tagged).kind
        return msgspec.msgpack.decode(raw, type=Known) if tag in TAGS else Unknown(name=tag)
