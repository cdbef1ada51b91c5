"""RFC 6121 Appendix A: the subscription states, and what each of eight stanzas does to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final


class Action(StrEnum):
    """The presence types that manage subscriptions (RFC 6121 §3)."""

    SUBSCRIBE = "subscribe"
    """Asks for the other's presence."""
    UNSUBSCRIBE = "unsubscribe"
    """Gives up the other's presence, or the request for it."""
    SUBSCRIBED = "subscribed"
    """Lets the other see one's own presence."""
    UNSUBSCRIBED = "unsubscribed"
    """Denies or cancels that."""


class State(Enum):
    """The nine states of RFC 6121 §A.1, and the three of them that a pre-approval can stand beside (§3.4).

    Where a request pends there is nothing to approve in advance, and an approval is used up by the request that it grants:
    a contact who leaves asks anew.
    """

    NONE = ("none", False, False, False)
    NONE_OUT = ("none", True, False, False)
    NONE_IN = ("none", False, True, False)
    NONE_OUT_IN = ("none", True, True, False)
    TO = ("to", False, False, False)
    TO_IN = ("to", False, True, False)
    FROM = ("from", False, False, False)
    FROM_OUT = ("from", True, False, False)
    BOTH = ("both", False, False, False)
    NONE_APPROVED = ("none", False, False, True)
    NONE_OUT_APPROVED = ("none", True, False, True)
    TO_APPROVED = ("to", False, False, True)

    def __init__(self, subscription: str, ask: bool, pending_in: bool, approved: bool) -> None:
        self.subscription: Final = subscription
        self.ask: Final = ask
        """The user asked and has no answer yet: pending out."""
        self.pending_in: Final = pending_in
        """The contact asked and has no answer yet."""
        self.approved: Final = approved
        self.sees: Final = subscription in {"to", "both"}
        """The user gets the contact's presence."""
        self.seen: Final = subscription in {"from", "both"}
        """The contact gets the user's presence."""
        self.shown: Final = (subscription, ask, approved)
        """What a roster item tells of the state; a pending request is no part of it (§A.1)."""


_STATES: Final = {(state.subscription, state.ask, state.pending_in, state.approved): state for state in State}


def state_of(subscription: str, *, ask: bool, pending_in: bool, approved: bool) -> State:
    """Find the state with these parts; raises `ValueError` if there is none."""
    try:
        return _STATES[subscription, ask, pending_in, approved]
    except KeyError:
        raise ValueError(f"no state is {subscription!r} with ask={ask}, pending_in={pending_in}, approved={approved}") from None


@dataclass(frozen=True, slots=True)
class Change:
    """What one stanza does: the state after it, and what the server owes."""

    state: State
    forward: bool
    """Route the user's stanza to the contact, or deliver the contact's to the user."""
    push: bool
    """Push the roster item to the user's interested resources."""
    reply: Action | None
    """What the server answers on the user's behalf."""
    announce: bool
    """Send the contact the presence of each of the user's available resources (RFC 6121 §3.1.5)."""
    withdraw: bool
    """Send the contact unavailable presence from each of them (RFC 6121 §3.2.2, §3.3.3)."""


# A cell is (is it forwarded?, the next state or None for no change, the automatic reply).
_Cell = tuple[bool, State | None, Action | None]
_Table = Mapping[State, _Cell]

_YES: Final[_Cell] = (True, None, None)
_NO: Final[_Cell] = (False, None, None)


def _to(state: State) -> _Cell:
    return True, state, None


def _quietly(state: State) -> _Cell:
    return False, state, None


def _granted(state: State | None = None) -> _Cell:
    return False, state, Action.SUBSCRIBED


OUTBOUND: Final[Mapping[Action, _Table]] = MappingProxyType(
    {
        Action.SUBSCRIBE: {  # RFC 6121 §A.2.1: always routed, for the contact may have lost it
            State.NONE: _to(State.NONE_OUT),
            State.NONE_OUT: _YES,
            State.NONE_IN: _to(State.NONE_OUT_IN),
            State.NONE_OUT_IN: _YES,
            State.TO: _YES,
            State.TO_IN: _YES,
            State.FROM: _to(State.FROM_OUT),
            State.FROM_OUT: _YES,
            State.BOTH: _YES,
            State.NONE_APPROVED: _to(State.NONE_OUT_APPROVED),
            State.NONE_OUT_APPROVED: _YES,
            State.TO_APPROVED: _YES,
        },
        Action.UNSUBSCRIBE: {  # RFC 6121 §A.2.2: likewise
            State.NONE: _YES,
            State.NONE_OUT: _to(State.NONE),
            State.NONE_IN: _YES,
            State.NONE_OUT_IN: _to(State.NONE_IN),
            State.TO: _to(State.NONE),
            State.TO_IN: _to(State.NONE_IN),
            State.FROM: _YES,
            State.FROM_OUT: _to(State.FROM),
            State.BOTH: _to(State.FROM),
            State.NONE_APPROVED: _YES,
            State.NONE_OUT_APPROVED: _to(State.NONE_APPROVED),
            State.TO_APPROVED: _to(State.NONE_APPROVED),
        },
        Action.SUBSCRIBED: {  # RFC 6121 §A.2.3; without a request it is a pre-approval, which stays here (§3.4.2)
            State.NONE: _quietly(State.NONE_APPROVED),
            State.NONE_OUT: _quietly(State.NONE_OUT_APPROVED),
            State.NONE_IN: _to(State.FROM),
            State.NONE_OUT_IN: _to(State.FROM_OUT),
            State.TO: _quietly(State.TO_APPROVED),
            State.TO_IN: _to(State.BOTH),
            State.FROM: _NO,
            State.FROM_OUT: _NO,
            State.BOTH: _NO,
            State.NONE_APPROVED: _NO,
            State.NONE_OUT_APPROVED: _NO,
            State.TO_APPROVED: _NO,
        },
        Action.UNSUBSCRIBED: {  # RFC 6121 §A.2.4; it takes a pre-approval back, too
            State.NONE: _NO,
            State.NONE_OUT: _NO,
            State.NONE_IN: _to(State.NONE),
            State.NONE_OUT_IN: _to(State.NONE_OUT),
            State.TO: _NO,
            State.TO_IN: _to(State.TO),
            State.FROM: _to(State.NONE),
            State.FROM_OUT: _to(State.NONE_OUT),
            State.BOTH: _to(State.TO),
            State.NONE_APPROVED: _quietly(State.NONE),
            State.NONE_OUT_APPROVED: _quietly(State.NONE_OUT),
            State.TO_APPROVED: _quietly(State.TO),
        },
    }
)
"""What the user sends to a contact."""

INBOUND: Final[Mapping[Action, _Table]] = MappingProxyType(
    {
        Action.SUBSCRIBE: {  # RFC 6121 §A.3.1; granted without asking where it was granted before (§3.1.3)
            State.NONE: _to(State.NONE_IN),
            State.NONE_OUT: _to(State.NONE_OUT_IN),
            State.NONE_IN: _NO,
            State.NONE_OUT_IN: _NO,
            State.TO: _to(State.TO_IN),
            State.TO_IN: _NO,
            State.FROM: _granted(),
            State.FROM_OUT: _granted(),
            State.BOTH: _granted(),
            State.NONE_APPROVED: _granted(State.FROM),
            State.NONE_OUT_APPROVED: _granted(State.FROM_OUT),
            State.TO_APPROVED: _granted(State.BOTH),
        },
        # RFC 6121 §A.3.2. No automatic `unsubscribed`, which RFC 3921 had: it would cross a new request and deny it.
        Action.UNSUBSCRIBE: {
            State.NONE: _NO,
            State.NONE_OUT: _NO,
            State.NONE_IN: _to(State.NONE),
            State.NONE_OUT_IN: _to(State.NONE_OUT),
            State.TO: _NO,
            State.TO_IN: _to(State.TO),
            State.FROM: _to(State.NONE),
            State.FROM_OUT: _to(State.NONE_OUT),
            State.BOTH: _to(State.TO),
            State.NONE_APPROVED: _NO,
            State.NONE_OUT_APPROVED: _NO,
            State.TO_APPROVED: _NO,
        },
        Action.SUBSCRIBED: {  # RFC 6121 §A.3.3: an answer that nobody asked for is ignored
            State.NONE: _NO,
            State.NONE_OUT: _to(State.TO),
            State.NONE_IN: _NO,
            State.NONE_OUT_IN: _to(State.TO_IN),
            State.TO: _NO,
            State.TO_IN: _NO,
            State.FROM: _NO,
            State.FROM_OUT: _to(State.BOTH),
            State.BOTH: _NO,
            State.NONE_APPROVED: _NO,
            State.NONE_OUT_APPROVED: _to(State.TO_APPROVED),
            State.TO_APPROVED: _NO,
        },
        Action.UNSUBSCRIBED: {  # RFC 6121 §A.3.4
            State.NONE: _NO,
            State.NONE_OUT: _to(State.NONE),
            State.NONE_IN: _NO,
            State.NONE_OUT_IN: _to(State.NONE_IN),
            State.TO: _to(State.NONE),
            State.TO_IN: _to(State.NONE_IN),
            State.FROM: _NO,
            State.FROM_OUT: _to(State.FROM),
            State.BOTH: _to(State.FROM),
            State.NONE_APPROVED: _NO,
            State.NONE_OUT_APPROVED: _to(State.NONE_APPROVED),
            State.TO_APPROVED: _to(State.NONE_APPROVED),
        },
    }
)
"""What a contact sends to the user."""


def outbound(state: State, action: Action) -> Change:
    """Tell what the user's own stanza does (RFC 6121 §A.2)."""
    return _change(state, OUTBOUND[action][state])


def inbound(state: State, action: Action) -> Change:
    """Tell what the contact's stanza does (RFC 6121 §A.3)."""
    return _change(state, INBOUND[action][state])


def farewell(state: State) -> tuple[Action, ...]:
    """Name what the contact is sent when the item is removed (RFC 6121 §2.5.2).

    A request of either side ends with the item, too: one that stayed behind could be granted to a user who no longer asks.
    """
    gone: list[Action] = []
    if state.sees or state.ask:
        gone.append(Action.UNSUBSCRIBE)
    if state.seen or state.pending_in:
        gone.append(Action.UNSUBSCRIBED)
    return tuple(gone)


def _change(before: State, cell: _Cell) -> Change:
    forward, after, reply = cell
    state = after or before
    return Change(
        state=state,
        forward=forward,
        push=state.shown != before.shown,
        reply=reply,
        # To one who asks although granted, too: a contact that lost the grant lost the presence with it.
        announce=reply is Action.SUBSCRIBED or (state.seen and not before.seen),
        withdraw=before.seen and not state.seen,
    )
