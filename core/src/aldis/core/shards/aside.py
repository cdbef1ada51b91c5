"""Copies that an owner held when it lost the broker, kept aside for who owns the shard next.

The broker confirmed them, and may have lost them with a gateway's queue, which does not outlive a connection; their
inputs are acknowledged, so nobody will do that work again. What belongs to an input that is not, will be done again.
"""

from collections.abc import Iterable

from aldis.core.contracts.base import Message
from aldis.core.contracts.rejoin import Left
from aldis.core.contracts.resumption import Copy
from aldis.core.contracts.sessions import Bind, FromSession, Returned, Routed, SessionEnd
from aldis.core.shards.sessions import Session
from aldis.core.shards.turn import Turn


def left(sessions: Iterable[Session], turns: Iterable[Turn]) -> tuple[Left, ...]:
    """What is to be kept of the sessions, while these turns are not acknowledged."""
    again = {origin for turn in turns if turn.batch is not None for message in turn.batch.messages for origin in _origins(message)}
    found = []
    for session in sessions:
        copies = tuple(Copy(*copy) for copy in session.held if (copy[2].origin.session, copy[2].origin.n) not in again)
        if copies:
            found.append(Left(session.id, session.jid, copies))
    return tuple(found)


def _origins(message: Message) -> tuple[tuple[str, int], ...]:
    match message:
        case FromSession() | Routed() | Returned():
            return ((message.stanza.origin.session, message.stanza.origin.n),)
        case SessionEnd():
            own = ((message.origin.session, message.origin.n),)
            return own + tuple((stanza.origin.session, stanza.origin.n) for stanza in message.unwritten)
        case Bind():
            return ((message.origin.session, message.origin.n),)
        case _:
            return ()
