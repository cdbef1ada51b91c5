"""What a consumer can't take is put aside in `aldis.dead`, and acknowledged when that is confirmed."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from aldis.core.bus.amqp.hooks import Hooks
from aldis.core.bus.names import DEAD
from aldis.core.bus.port import Receipt
from aldis.core.contracts.base import Message
from aldis.core.contracts.bus import DeadLetter

MOST_FAILURES: Final = 3
"""Times that a consumer may raise over one batch before the batch is put aside."""
REMEMBERED: Final = 1_000

Publish = Callable[[str, Message, Receipt | None], None]


class _Then:
    """A receipt that calls back."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def hold(self) -> None:
        """It is on its way."""

    def release(self) -> None:
        self._then()


class Burial:
    """Puts batches aside, and remembers which ones consumers raised over."""

    def __init__(self, publish: Publish, hooks: Hooks) -> None:
        self._publish = publish
        self._hooks = hooks
        self._failures: OrderedDict[str, int] = OrderedDict()

    def failed(self, name: str) -> None:
        """A consumer raised over this batch."""
        self._failures[name] = self._failures.pop(name, 0) + 1
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def condemned(self, name: str) -> bool:
        """Did that happen too often?"""
        return bool(self._failures) and self._failures.get(name, 0) >= MOST_FAILURES

    def bury(self, queue: str, body: bytes, reason: str, then: Callable[[], None]) -> None:
        """Put the batch aside; call back when that is certain."""
        self._hooks.log.warning("bus.dead-letter", queue=queue, reason=reason)
        self._publish(DEAD, DeadLetter(queue=queue, at=time.time(), reason=reason, batch=body), _Then(then))
