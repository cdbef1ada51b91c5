"""How each shard of a process is, for `aldis status` and its metrics."""

from collections.abc import Mapping
from typing import Any

from aldis.core.contracts.operation import Shard
from aldis.core.shards.oldest import Oldest
from aldis.core.shards.runner import Running


def shards(running: Mapping[int, Running[Any]], oldest: Oldest) -> tuple[Shard, ...]:
    """One entry for each shard that is owned."""
    return tuple(
        Shard(
            shard,
            owned.output.epoch,
            sessions=len(owned.sessions),
            turns=owned.owner.turns,
            oldest_seconds=round(oldest.seconds(shard), 3),
            held=sum(len(session.held) for session in owned.sessions.values()),
            held_bytes=sum(session.held_bytes for session in owned.sessions.values()),
        )
        for shard, owned in sorted(running.items())
    )
