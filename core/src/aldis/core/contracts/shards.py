"""What processes tell each other about who owns which shard; the database has the truth, this only saves waiting for a look at it."""

from aldis.core.contracts.base import Message


class ShardMoved(Message, frozen=True, kw_only=True, tag="shard-moved"):
    """From `epoch` on the shard belongs to `owner`; an owner of an older epoch stops at once, one that is named takes it."""

    shard: int
    epoch: int
    owner: str = ""
    """Empty if nobody is chosen."""


class MembersChanged(Message, frozen=True, kw_only=True, tag="members-changed"):
    """A process joined, left, or is back under another queue: look at the registry."""
