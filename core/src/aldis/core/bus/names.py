"""The names on the bus that operators and other programs rely on."""

import secrets
from typing import Final

DIRECTORY: Final = "aldis.directory"
DEAD: Final = "aldis.dead"
"""What could not be handled."""
ANNOUNCE: Final = "aldis.announce"
SHARDS: Final = "aldis.shards"
"""The topic on which owners of shards tell each other what they do."""
OPERATION: Final = "aldis.operation"
"""The topic on which an operator's command asks all processes."""


def router_queue(shard: int) -> str:
    """The queue of one shard of users."""
    return f"aldis.router.{shard}"


def gateway_queue(incarnation: str, connection: int = 1) -> str:
    """The queue of one gateway process, by its connection to the broker: the name is fresh after each reconnect."""
    return f"aldis.gateway.{incarnation}-{connection}"


def reply_queue(incarnation: str, connection: int = 1) -> str:
    """Where answers to one process come, by its connection likewise."""
    return f"aldis.reply.{incarnation}-{connection}"


def echo_queue(incarnation: str) -> str:
    """Where a process asks itself whether the broker passes messages on."""
    return f"aldis.echo.{incarnation}"


def incarnation(letter: str) -> str:
    """A name for one run of one service that no other run has and nobody can guess; ids of stanzas hang on it."""
    return letter + secrets.token_hex(6)
