"""An operator's commands to accounts: asked of the directory over the bus, the password sealed to its key."""

from collections.abc import Mapping
from typing import Any, Final

from aldis.core.bus import Bus, BusError
from aldis.core.bus.names import DIRECTORY
from aldis.core.contracts.accounts import AccountCommand, AccountResult, SealKey, SealKeyRequest
from aldis.core.contracts.base import Message
from aldis.core.seal import SealError, context, seal
from aldis.launcher.arguments import USER_ACTIONS, WITH_PASSWORD
from aldis.launcher.control_server import Answer
from aldis.launcher.failure import Failure

OPERATOR: Final = "operator"
"""Stands where a client's address would, in logs."""
DEADLINE: Final = 25.0
"""Seconds; less than the command waits for the server."""


class Accounts:
    """Answers `aldis user`, within the server or without one."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def answer(self, question: Mapping[str, Any]) -> Answer:
        """Do `{"action": …, "account": …, "password": …}`; raises `Failure` with the directory's reason."""
        action, account, password = question.get("action"), question.get("account"), question.get("password")
        if not isinstance(action, str) or action not in USER_ACTIONS or not isinstance(account, str):
            raise Failure(f"a question names an action ({', '.join(USER_ACTIONS)}) and an account", condition="bad-request")
        if isinstance(password, str) != (action in WITH_PASSWORD):
            raise Failure("a password goes with add and passwd, and with nothing else", condition="bad-request")
        result = await self._command(action, account, password)
        if result.error:
            raise Failure(f"{account or action}: {result.text or result.error}", condition=result.error)
        if action == "list":
            return {"ok": True, "accounts": [{"jid": jid, "disabled": disabled} for jid, disabled in result.accounts]}
        return {"ok": True, "action": action, "account": account}

    async def _command(self, action: str, account: str, password: str | None) -> AccountResult:
        if password is None:
            return await self._ask_account(AccountCommand(action=action, account=account, peer=OPERATOR))
        result = await self._with_password(action, account, password)
        return await self._with_password(action, account, password) if result.stale_key else result

    async def _with_password(self, action: str, account: str, password: str) -> AccountResult:
        key = await self._ask(SealKeyRequest())
        if not isinstance(key, SealKey):
            raise Failure("the directory gave no key to seal the password to; see the log", condition="internal-server-error")
        try:
            sealed = seal(key.key, password.encode(), context(action, account))
        except (UnicodeEncodeError, SealError):
            raise Failure("the password is not text, or far too long", condition="bad-request") from None
        return await self._ask_account(AccountCommand(action=action, account=account, sealed=sealed, peer=OPERATOR))

    async def _ask_account(self, command: AccountCommand) -> AccountResult:
        answer = await self._ask(command)
        if not isinstance(answer, AccountResult):
            raise Failure("the directory gave another answer than to what was asked; see the log", condition="internal-server-error")
        return answer

    async def _ask(self, message: Message) -> Message:
        try:
            return await self._bus.request(DIRECTORY, message, deadline=DEADLINE)
        except BusError:
            raise Failure("the directory does not answer; see the log", condition="remote-server-timeout") from None
