"""XEP-0077: In-Band Registration, for those who are registered: who am I, another password, no more account.

Strangers register at the gateway, before they are authenticated; it asks by `AccountCommand(action="register")`.
"""

from lxml import etree

from aldis.core.xmpp.element import child, element
from aldis.core.xmpp.errors.stanza import (
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    RegistrationRequired,
    ServiceUnavailable,
    UnexpectedRequest,
)
from aldis.core.xmpp.feature import EVERYWHERE, Feature
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.namespaces import REGISTER
from aldis.core.xmpp.stanza import Iq, IqType
from aldis.directory.context import Context
from aldis.directory.domain.account import Account, State, named
from aldis.directory.domain.passwords import acceptable
from aldis.directory.domain.register import QUERY, Remove, parse
from aldis.directory.features.administration import change_password, delete
from aldis.directory.settings import Registration

feature = Feature[Context]("registration", xep=77, version="2.4", disco=(REGISTER,), note="no data forms")


def offered(registration: Registration) -> bool:
    """Whether anything of it is switched on; what is not there is unavailable (XEP-0077 §3.1)."""
    return registration.enabled or registration.password_change or registration.removal


@feature.iq(IqType.GET, QUERY, at=EVERYWHERE)
async def who_am_i(ctx: Context, iq: Iq) -> etree._Element:
    """Say that there is a registration, and what is on file (XEP-0077 §3.1)."""
    account = await _registered(ctx, iq)
    if account is None:  # whoever is authenticated elsewhere can have no account here
        raise ServiceUnavailable
    query = element(REGISTER, "query")
    child(query, "registered")
    child(query, "instructions", "You are registered. Send another password to change it.")
    child(query, "username", account.local)
    child(query, "password")
    return query


@feature.iq(IqType.SET, QUERY, at=EVERYWHERE)
async def change(ctx: Context, iq: Iq) -> None:
    """Delete the account (XEP-0077 §3.2) or change its password (§3.3)."""
    wanted = parse(iq.payload)
    account = await _registered(ctx, iq)
    if isinstance(wanted, Remove):
        if account is None:
            await _cancelled_before(ctx, iq)
            return
        if not ctx.settings.registration.removal:
            raise NotAllowed("accounts can't be deleted in-band here")
        try:
            await delete(ctx, account)
        except ItemNotFound:  # two at the same time
            await _cancelled_before(ctx, iq)
            return
        ctx.log.info("account.changed", account=account.jid, action="delete", by="owner")
        return
    if account is None:
        raise UnexpectedRequest("this address is not registered here")
    if not ctx.settings.registration.password_change:
        raise NotAllowed("passwords can't be changed in-band here")
    if not _means(wanted.username, account):  # XEP-0077 §3.1.1: no second identity
        raise NotAcceptable(f"you are {account.local}: no other account can be made or changed from here")
    password = acceptable(wanted.password.encode())
    ctx.guard.admit_change(account.jid)
    await change_password(ctx, account, password)
    ctx.log.info("account.changed", account=account.jid, action="passwd", by="owner")


async def _cancelled_before(ctx: Context, iq: Iq) -> None:
    """Raise the refusal, unless the account is on its way out: then the router asks again what was done, as it may after a fault."""
    account = _claimed(ctx, iq)
    if account is None or await ctx.accounts.state(account) is not State.LEAVING:
        raise RegistrationRequired("there is no such registration")


async def _registered(ctx: Context, iq: Iq) -> Account | None:
    """Whose account it is; None for who has none at the addressed domain."""
    account = _claimed(ctx, iq)
    if account is None:
        return None
    return account if await ctx.accounts.state(account) in (State.ACTIVE, State.DISABLED) else None


def _claimed(ctx: Context, iq: Iq) -> Account | None:
    """Whose account it would be, by the stamped `from` alone."""
    if not (iq.from_owner or iq.to == Jid.parse(iq.sender.domain)):
        return None
    try:
        return named(str(iq.sender.bare), ctx.settings.domains)
    except (JidMalformed, NotAllowed):
        return None


def _means(username: str, account: Account) -> bool:
    """Whether the name is this account's; some clients send the whole address."""
    try:
        jid = Jid.parse(username) if "@" in username else Jid(username, account.domain)
    except JidMalformed:
        return False
    return str(jid) == account.jid
