"""The static description of what there is on the broker: each queue's kind by its name, each kind's arguments.

Changed arguments refuse to declare, so what may have to be tuned at a site (lengths, memory) is left to policies.
"""

from dataclasses import dataclass
from typing import Final

from pamqp.common import FieldTable

from aldis.core.bus.names import DEAD

SPOOL: Final = "aldis.spool."
PACE: Final = "aldis.pace"
"""The topic on which consumers tell their producers how much time to leave between batches."""
DELIVERY_LIMIT: Final = 1_000
"""Deliveries after which the broker takes a batch away by itself. It is a last resort: whoever dies takes the innocent
batches beside it along, so a low limit would dead-letter those; poison is found by marks (docs/adr)."""
EXPIRES_MS: Final = 30_000
"""A request queue that nobody has listened to for so long is deleted: requests then fail at once."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a queue is declared, and whether what goes there is written to disk."""

    durable: bool
    exclusive: bool
    persistent: bool
    auto_delete: bool
    arguments: FieldTable


def shard(prefix: str) -> Kind:
    """Replicated and on disk; one consumer at a time, as a guard beside the owners' epochs."""
    return Kind(
        durable=True,
        exclusive=False,
        persistent=True,
        auto_delete=False,
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": prefix + DEAD,
        },
    )


EXCLUSIVE: Final = Kind(durable=False, exclusive=True, persistent=False, auto_delete=False, arguments={"x-queue-type": "classic"})
"""A gateway's or a process's own queue: it dies with its connection, so nothing of it is worth writing to disk."""

REQUESTS: Final = Kind(
    durable=True, exclusive=False, persistent=False, auto_delete=True, arguments={"x-queue-type": "classic", "x-expires": EXPIRES_MS}
)
"""Where a service is asked. Durable, since RabbitMQ 4 has no queues that are neither durable nor exclusive; what is in it is
not, expires with its deadline, and is not dead-lettered, since it may hold credentials."""

KEPT: Final = 1_000_000
"""Deliveries of a dead letter: each look at the queue is one, and RabbitMQ 4 would drop it after 20."""
STORE: Final = Kind(
    durable=True, exclusive=False, persistent=True, auto_delete=False, arguments={"x-queue-type": "quorum", "x-delivery-limit": KEPT}
)
"""`aldis.dead`: kept, never consumed but by hand."""


def kind_of(queue: str, prefix: str, *, exclusive: bool) -> Kind:
    """How this queue is declared; names without the prefix."""
    if exclusive:
        return EXCLUSIVE
    if queue == DEAD:
        return STORE
    return shard(prefix)


def persistent(queue: str) -> bool:
    """Is what goes to this queue written to disk? Only a process's own queue is not worth it."""
    return not queue.startswith(("aldis.gateway.", "aldis.reply."))
