"""RFC 6121 §8.5: where a stanza to a local user goes."""

from collections.abc import Sequence
from enum import Enum
from typing import Final

from aldis.core.contracts.envelope import Kind

_MESSAGE: Final = int(Kind.MESSAGE)
_PRESENCE: Final = int(Kind.PRESENCE)
_MANAGEMENT: Final = frozenset({"subscribe", "subscribed", "unsubscribe", "unsubscribed"})
_NOBODY: Final = (-1,)
_RESPONSES: Final = frozenset({"result", "error"})


class Outcome(Enum):
    """What becomes of a stanza."""

    SESSION = 1
    """Deliver to the one session that the full JID names."""
    HIGHEST = 2
    """Deliver to every session that shares the highest priority; that is not negative."""
    NON_NEGATIVE = 3
    """Deliver to every session whose priority is not negative."""
    AVAILABLE = 4
    """Deliver to every available session."""
    ACCOUNT = 5
    """The server handles it on behalf of the account."""
    OFFLINE = 6
    """Store until the user comes back; as long as there is no such store, the same as `BOUNCE`."""
    BOUNCE = 7
    """Answer `service-unavailable`."""
    UNSUBSCRIBED = 8
    """Answer with presence of type `unsubscribed`, just as for an account that shares no presence with the sender."""
    DROP = 9
    """Nothing to tell anybody; counted."""


# Attributes of an Enum are looked up through its class; these names are for the hot path.
_SESSION: Final = Outcome.SESSION
_HIGHEST: Final = Outcome.HIGHEST
_DROP: Final = Outcome.DROP


def decide(kind: int, type: str, to_full: bool, matched: bool, priorities: Sequence[int] | None) -> Outcome:  # noqa: A002  the attribute's own name
    """Find the outcome for a stanza to a local user.

    `matched`: the full JID is that of a session, available or not. `priorities` are those of the available sessions; None
    means that there is no such account. An unknown type of message is `normal` (RFC 6121 §5.2.2).
    """
    if kind == _MESSAGE:
        return _SESSION if matched else _message(type, to_full, priorities)
    if kind == _PRESENCE:
        return _presence(type, to_full, matched, priorities)
    return _iq(type, to_full, matched, priorities)


def chosen(outcome: Outcome, priorities: Sequence[int]) -> list[int]:
    """Which of the available sessions, by index, get what goes to several."""
    if outcome is _HIGHEST:
        highest = max(priorities)
        return [index for index, priority in enumerate(priorities) if priority == highest]
    if outcome is Outcome.NON_NEGATIVE:
        return [index for index, priority in enumerate(priorities) if priority >= 0]
    if outcome is Outcome.AVAILABLE:
        return list(range(len(priorities)))
    return []


def _message(type: str, to_full: bool, priorities: Sequence[int] | None) -> Outcome:  # noqa: A002  the attribute's own name
    if type == "error":
        return _DROP  # RFC 6121 §8.5.2.1.1: never answered, so that no two servers go on for ever
    if type == "groupchat":
        return Outcome.BOUNCE  # RFC 6121 §8.5.2.1.1: it is for one occupant, and a room learns from it that they left
    reachable = max(priorities or _NOBODY) >= 0
    if type == "headline":
        # RFC 6121 §8.5.3.2.1 leaves open whether one to a resource that is gone bounces: as with none at all, it doesn't
        return Outcome.NON_NEGATIVE if reachable and not to_full else _DROP
    if priorities is None:
        return Outcome.BOUNCE  # RFC 6121 §8.5.1
    if to_full and type != "chat":
        return Outcome.BOUNCE  # RFC 6121 §8.5.3.2.1: only a chat goes on to the bare JID
    # RFC 6121 §8.5.2.1.1 leaves the choice among several: all that share the highest priority, for none of them is the
    # better guess, and the others learn of it by carbon copies
    return _HIGHEST if reachable else Outcome.OFFLINE


def _presence(type: str, to_full: bool, matched: bool, priorities: Sequence[int] | None) -> Outcome:  # noqa: A002  the attribute's own name
    if type == "probe":
        return Outcome.UNSUBSCRIBED if priorities is None else Outcome.ACCOUNT  # RFC 6121 §8.5.1, §4.3.2
    if type in _MANAGEMENT:
        return _DROP if priorities is None else Outcome.ACCOUNT  # RFC 6121 §8.5.1, §3
    if matched:
        return _SESSION
    return Outcome.AVAILABLE if priorities and not to_full else _DROP


def _iq(type: str, to_full: bool, matched: bool, priorities: Sequence[int] | None) -> Outcome:  # noqa: A002  the attribute's own name
    if matched:
        return _SESSION
    if not to_full and priorities is not None:
        return Outcome.ACCOUNT  # RFC 6121 §8.5.2.1.3
    return _DROP if type in _RESPONSES else Outcome.BOUNCE  # RFC 6120 §8.2.3: an answer is never answered
