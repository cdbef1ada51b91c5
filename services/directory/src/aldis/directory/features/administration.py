"""What operators, owners and strangers do to accounts."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aldis.core.contracts.accounts import AccountCommand, AccountExists, AccountExistsRequest, AccountResult
from aldis.core.seal import context
from aldis.core.xmpp.errors.stanza import BadRequest, ItemNotFound, JidMalformed, NotAllowed
from aldis.directory.context import Context
from aldis.directory.domain.account import Account, Action, State, after, named, served
from aldis.directory.domain.notice import BUS, KEEPERS, Kind
from aldis.directory.domain.passwords import acceptable

_MAX_JID: Final = 3_071


async def exists(ctx: Context, request: AccountExistsRequest) -> AccountExists:
    """Whether there is an account; nothing that is no account's address is a mistake here."""
    if len(request.account) > _MAX_JID:
        return AccountExists(exists=False)
    try:
        state = await ctx.existence.state(named(request.account, ctx.settings.domains))
    except (JidMalformed, NotAllowed):
        return AccountExists(exists=False)
    return AccountExists(exists=state in (State.ACTIVE, State.DISABLED), disabled=state is State.DISABLED)


async def command(ctx: Context, request: AccountCommand) -> AccountResult:
    """Do what is asked, or raise why not."""
    if len(request.account) > _MAX_JID:
        raise JidMalformed("the address is too long")
    handler = _COMMANDS.get(request.action)
    if handler is None:
        raise BadRequest(f"there is no action {request.action[:40]}; there are {', '.join(_COMMANDS)}")
    result = await handler(ctx, request)
    if request.action != "list":
        ctx.log.info("account.changed", account=request.account, action=request.action, peer=request.peer)
    return result


async def _add(ctx: Context, request: AccountCommand) -> AccountResult:
    await create(ctx, named(request.account, ctx.settings.domains), _password(ctx, request))
    return AccountResult()


async def _register(ctx: Context, request: AccountCommand) -> AccountResult:
    """Make an account for a stranger (XEP-0077 §3.1)."""
    if not ctx.settings.registration.enabled:
        raise NotAllowed("accounts can't be made in-band here")
    ctx.guard.admit_registration(request.peer)
    return await _add(ctx, request)


async def _passwd(ctx: Context, request: AccountCommand) -> AccountResult:
    await change_password(ctx, _existing(ctx, request), _password(ctx, request))
    return AccountResult()


async def _disable(ctx: Context, request: AccountCommand) -> AccountResult:
    """Let nobody in any more, and end the sessions that there are."""
    account = _existing(ctx, request)
    await ctx.accounts.change(account, Action.DISABLE, now=_now(ctx), notice=ctx.notice(account, Kind.DISABLED, BUS))
    ctx.changed(account)
    return AccountResult()


async def _enable(ctx: Context, request: AccountCommand) -> AccountResult:
    account = _existing(ctx, request)
    await ctx.accounts.change(account, Action.ENABLE, now=_now(ctx))
    ctx.changed(account)
    return AccountResult()


async def _delete(ctx: Context, request: AccountCommand) -> AccountResult:
    await delete(ctx, _existing(ctx, request))
    return AccountResult()


async def _list(ctx: Context, request: AccountCommand) -> AccountResult:
    try:
        domain = served(request.account, ctx.settings.domains) if request.account else None
    except NotAllowed as error:
        raise ItemNotFound(error.text) from None
    listing = await ctx.accounts.listing(domain)
    return AccountResult(accounts=tuple((account.jid, disabled) for account, disabled in listing))


_COMMANDS: Final[Mapping[str, Callable[[Context, AccountCommand], Awaitable[AccountResult]]]] = {
    "add": _add,
    "passwd": _passwd,
    "disable": _disable,
    "enable": _enable,
    "delete": _delete,
    "list": _list,
    "register": _register,
}


async def create(ctx: Context, account: Account, password: str) -> None:
    """Make an account; the state is looked at first, so that a name that is taken costs no hashing."""
    after(await ctx.accounts.state(account), Action.ADD, account)
    credentials = await ctx.hasher.credentials(password)
    await ctx.accounts.change(account, Action.ADD, now=_now(ctx), credentials=credentials)
    ctx.changed(account)


async def change_password(ctx: Context, account: Account, password: str) -> None:
    """Keep a new password instead of the old one."""
    after(await ctx.accounts.state(account), Action.PASSWD, account)
    await ctx.accounts.change(account, Action.PASSWD, now=_now(ctx), credentials=await ctx.hasher.credentials(password))
    ctx.changed(account)


async def delete(ctx: Context, account: Account) -> None:
    """Delete the account, and see to it that everybody forgets it."""
    await ctx.accounts.change(account, Action.DELETE, now=_now(ctx), notice=ctx.notice(account, Kind.DELETED, KEEPERS))
    ctx.changed(account)


def _now(ctx: Context) -> int:
    return int(ctx.clock.time())


def _password(ctx: Context, request: AccountCommand) -> str:
    return acceptable(ctx.key.open(request.sealed, context(request.action, request.account)))


def _existing(ctx: Context, request: AccountCommand) -> Account:
    """The account that is meant; on a domain that is not served there is none."""
    try:
        return named(request.account, ctx.settings.domains)
    except NotAllowed as error:
        raise ItemNotFound(error.text) from None
