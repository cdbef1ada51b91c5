"""The names on the bus that operators and other programs rely on."""

from typing import Final

DIRECTORY: Final = "aldis.directory"
ANNOUNCE: Final = "aldis.announce"


def router_queue(shard: int) -> str:
    """The queue of one shard of users."""
    return f"aldis.router.{shard}"


def gateway_queue(incarnation: str) -> str:
    """The queue of one gateway process."""
    return f"aldis.gateway.{incarnation}"


def reply_queue(incarnation: str) -> str:
    """Where answers to one process come."""
    return f"aldis.reply.{incarnation}"
