"""An operator's wish to follow an account's stanzas, told to the gateways of the same process."""

from collections.abc import Mapping
from typing import Any

from aldis.core.bus import Bus
from aldis.core.bus.names import OPERATION
from aldis.core.contracts.operation import Trace
from aldis.launcher.control_server import Answer
from aldis.launcher.failure import Failure


class Tracing:
    """Answers `aldis trace ACCOUNT`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def answer(self, question: Mapping[str, Any]) -> Answer:
        """Do `{"account": …, "seconds": …}`."""
        account, seconds = question.get("account"), question.get("seconds")
        if not isinstance(account, str) or not isinstance(seconds, int):
            raise Failure("a question names an account and a number of seconds", condition="bad-request")
        self._bus.broadcast(OPERATION, Trace(account=account, seconds=seconds))
        return {"ok": True, "account": account, "seconds": seconds}
