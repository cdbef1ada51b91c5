"""RFC 5802 and RFC 4616: whether credentials are good. Nothing here tells whether an account exists, but to its owner."""

from typing import Final

from aldis.core.contracts.accounts import (
    Authenticated,
    DomainMechanisms,
    DomainMechanismsRequest,
    PlainVerifyRequest,
    ScramChallenge,
    ScramChallengeRequest,
    ScramVerifyRequest,
    SealKey,
    SealKeyRequest,
)
from aldis.core.seal import context
from aldis.core.xmpp.errors.sasl import AccountDisabled, InvalidMechanism, MalformedRequest, NotAuthorized, SaslFailure
from aldis.core.xmpp.errors.stanza import NotAcceptable
from aldis.core.xmpp.sasl.mechanisms import PLAIN
from aldis.core.xmpp.sasl.scram import ScramHash, verify_proof
from aldis.directory.context import Attempt, Context
from aldis.directory.domain.account import Account, Entry, claimed
from aldis.directory.domain.passwords import HASHES, PLAIN_HASH, acceptable, keys

_MAX_AUTH_MESSAGE: Final = 65_536
_MAX_NAME: Final = 3_071
"""Octets of a name that is still looked at; three times what a localpart may have."""


async def seal_key(ctx: Context, request: SealKeyRequest) -> SealKey:
    """Give out the key that passwords are sealed to."""
    return SealKey(key=ctx.key.public)


async def mechanisms(ctx: Context, request: DomainMechanismsRequest) -> DomainMechanisms:
    """Every account has keys for every hash, so that what is offered says nothing of who is asking."""
    if request.domain not in ctx.settings.domains:
        return DomainMechanisms(scram=(), plain=False)
    return DomainMechanisms(scram=tuple(each.mechanism for each in HASHES))


async def challenge(ctx: Context, request: ScramChallengeRequest) -> ScramChallenge:
    """Salt and iteration count, true or false; a disabled account's are the true ones."""
    hash = _hash(request.mechanism)  # noqa: A001  RFC 5802's own word
    account, name = _claim(ctx, request.domain, request.username)
    kept = ctx.decoys.credential(hash, name)
    entry = await _entry(ctx, account, hash)
    if entry is not None and entry.credential is not None:
        kept = entry.credential
    return ScramChallenge(salt=kept.salt, iterations=kept.iterations)


async def verify_scram(ctx: Context, request: ScramVerifyRequest) -> Authenticated:
    """Check the proof against the account's keys, or against keys that nobody can have a proof for (RFC 5802 §3)."""
    account, name = _claim(ctx, request.domain, request.username)
    attempt = Attempt(_label(request.mechanism), name, request.peer)
    try:
        hash = _hash(request.mechanism)  # noqa: A001  RFC 5802's own word
        if len(request.auth_message) > _MAX_AUTH_MESSAGE:
            raise MalformedRequest("the exchange is too long")
        ctx.guard.admit(attempt)
        kept = ctx.decoys.credential(hash, name)
        entry = await _entry(ctx, account, hash)
        if entry is not None and entry.credential is not None:
            kept = entry.credential
        signature = verify_proof(keys(kept), hash, request.auth_message, request.proof)
        _decide(entry, good=signature is not None)
    except SaslFailure as failure:
        ctx.guard.failed(attempt, failure, failure.text or failure.condition)
        raise
    ctx.guard.succeeded(attempt)
    return Authenticated(account=name, signature=signature or b"")


async def verify_plain(ctx: Context, request: PlainVerifyRequest) -> Authenticated:
    """Check a password, with as much hashing for an account that does not exist (RFC 4616 §2)."""
    password = ctx.key.open(request.sealed, context("plain", request.domain, request.username))
    account, name = _claim(ctx, request.domain, request.username)
    attempt = Attempt(PLAIN, name, request.peer)
    try:
        ctx.guard.admit(attempt)
        text = _readable(password)
        kept = ctx.decoys.credential(PLAIN_HASH, name)
        entry = await _entry(ctx, account, PLAIN_HASH)
        if entry is not None and entry.credential is not None:
            kept = entry.credential
        _decide(entry, good=await ctx.hasher.fits(text, kept))
    except SaslFailure as failure:
        ctx.guard.failed(attempt, failure, failure.text or failure.condition)
        raise
    ctx.guard.succeeded(attempt)
    return Authenticated(account=name)


def _decide(entry: Entry | None, *, good: bool) -> None:
    """Refuse wrong credentials; say that an account is disabled only to who has the right ones (RFC 6120 §6.5.1)."""
    if not good or entry is None or entry.credential is None:
        raise NotAuthorized
    if entry.disabled:
        raise AccountDisabled("this account is disabled")


def _claim(ctx: Context, domain: str, username: str) -> tuple[Account | None, str]:
    """The account that is claimed, if there can be one, and the name by which it is counted and pretended."""
    if len(username) > _MAX_NAME or len(domain) > _MAX_NAME:
        return None, f"{username[:_MAX_NAME]}@{domain[:_MAX_NAME]}"
    account = claimed(domain, username, ctx.settings.domains)
    return account, account.jid if account is not None else f"{username}@{domain}"


async def _entry(ctx: Context, account: Account | None, hash: ScramHash) -> Entry | None:  # noqa: A002  RFC 5802's own word
    return None if account is None else await ctx.accounts.entry(account, hash.mechanism)


def _hash(mechanism: str) -> ScramHash:
    try:
        return ScramHash.of_mechanism(mechanism)
    except ValueError:
        raise InvalidMechanism("this mechanism is not known here") from None


def _label(mechanism: str) -> str:
    """The mechanism in metrics, with its `-PLUS` but without what a stranger could multiply."""
    try:
        ScramHash.of_mechanism(mechanism)
    except ValueError:
        return "other"
    return mechanism


def _readable(password: bytes) -> str:
    """The password as text; one that no account can have fails like a wrong one."""
    try:
        return acceptable(password)
    except NotAcceptable:
        raise NotAuthorized from None
