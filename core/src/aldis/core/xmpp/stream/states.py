"""The states of a c2s stream, seen from the server, and every way from one to another (RFC 6120 §4.3, §5.4, §6.4, §7.6).

Rule 1: what changes the state stands in this table and nowhere else. A step of the client's that is not in the table is
refused with an error of the RFC's; one of the shell's is a bug and raises `ValueError`. Closing is possible everywhere.
"""

from enum import Enum, auto
from types import MappingProxyType
from typing import Final


class State(Enum):
    """Who is to do what next."""

    CONNECTED = auto()
    """The client is to open a stream; it is not authenticated."""
    OPEN = auto()
    """Features were sent; the client is to choose STARTTLS or SASL."""
    TLS_ASKED = auto()
    """The shell is to say whether TLS may begin."""
    TLS_HANDSHAKE = auto()
    """The shell is busy with the handshake; no XML is expected."""
    SASL_ASKED = auto()
    """The shell is to answer a SASL message."""
    SASL_CHALLENGED = auto()
    """The client is to answer a challenge."""
    AUTHENTICATED = auto()
    """The client is to open its stream anew."""
    BINDABLE = auto()
    """The client is to bind a resource."""
    BIND_ASKED = auto()
    """The shell is to bind the resource."""
    RESUME_ASKED = auto()
    """The shell is to say whether a former stream goes on (XEP-0198 §5)."""
    BOUND = auto()
    """Stanzas flow."""
    CLOSED = auto()
    """Nothing more is read or written."""


class Step(Enum):
    """What moves a stream."""

    HEADER = auto()
    STARTTLS = auto()
    AUTH = auto()
    RESPONSE = auto()
    ABORT = auto()
    BIND = auto()
    RESUME = auto()
    STANZA = auto()
    # the shell's:
    PROCEED = auto()
    TLS_ESTABLISHED = auto()
    CHALLENGE = auto()
    SUCCESS = auto()
    FAILURE = auto()
    BOUND = auto()
    BIND_FAILED = auto()
    RESUMED = auto()
    RESUME_FAILED = auto()


TRANSITIONS: Final = MappingProxyType(
    {
        State.CONNECTED: {Step.HEADER: State.OPEN},
        State.OPEN: {Step.STARTTLS: State.TLS_ASKED, Step.AUTH: State.SASL_ASKED},
        State.TLS_ASKED: {Step.PROCEED: State.TLS_HANDSHAKE},
        State.TLS_HANDSHAKE: {Step.TLS_ESTABLISHED: State.CONNECTED},
        State.SASL_ASKED: {Step.CHALLENGE: State.SASL_CHALLENGED, Step.SUCCESS: State.AUTHENTICATED, Step.FAILURE: State.OPEN},
        State.SASL_CHALLENGED: {Step.RESPONSE: State.SASL_ASKED, Step.ABORT: State.OPEN},
        State.AUTHENTICATED: {Step.HEADER: State.BINDABLE},
        State.BINDABLE: {Step.BIND: State.BIND_ASKED, Step.RESUME: State.RESUME_ASKED},
        State.BIND_ASKED: {Step.BOUND: State.BOUND, Step.BIND_FAILED: State.BINDABLE},
        State.RESUME_ASKED: {Step.RESUMED: State.BOUND, Step.RESUME_FAILED: State.BINDABLE},
        State.BOUND: {Step.STANZA: State.BOUND},
        State.CLOSED: {},
    }
)

WAITING: Final = frozenset({State.TLS_ASKED, State.TLS_HANDSHAKE, State.SASL_ASKED, State.BIND_ASKED, State.RESUME_ASKED})
"""The shell's turn: what the client sends meanwhile is not looked at."""
UNAUTHENTICATED: Final = frozenset(
    {State.CONNECTED, State.OPEN, State.TLS_ASKED, State.TLS_HANDSHAKE, State.SASL_ASKED, State.SASL_CHALLENGED}
)
