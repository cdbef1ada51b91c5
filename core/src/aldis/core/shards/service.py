"""What a sharded service gives to the machinery, and the little that it sees of it."""

from typing import Protocol

from aldis.core.contracts.base import Message
from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.resumption import Enable, Resume
from aldis.core.contracts.sessions import Bind, SessionEnd
from aldis.core.shards.kept import Records
from aldis.core.shards.mailbox import Result
from aldis.core.shards.sessions import S, Session
from aldis.core.shards.turn import Turn


class ShardService(Protocol[S]):
    """State for one shard, and handlers that are called one at a time for each account.

    A handler that need not wait returns None; one that must returns an awaitable. A turn is only passed on.
    """

    @property
    def records(self) -> Records:
        """Where its sessions are kept."""

    def restore(self, session: Session) -> S:
        """Take in a session that was bound under an earlier owner, by the note that it left."""

    def bind(self, message: Bind, _: object, turn: Turn) -> Result:
        """Give a session its resource, or refuse."""

    def resumable(self, session: S, message: Enable) -> tuple[str, int]:
        """By which token, and for how many seconds after its stream, a session can be resumed; an empty one if it can't."""

    def may_resume(self, session: S, message: Resume) -> bool:
        """May this client, which knows the token, go on with the session?"""

    def from_session(self, session: S, stanza: Envelope, turn: Turn) -> Result:
        """Handle what a session's client sent."""

    def orphan(self, account: str, stanza: Envelope, turn: Turn) -> Result:
        """Handle what a session sent that has ended since, under an earlier owner."""

    def routed(self, account: str, stanza: Envelope, turn: Turn) -> Result:
        """Handle a stanza for one of the shard's accounts."""

    def end(self, session: S | None, message: SessionEnd, turn: Turn) -> Result:
        """Handle that a session is gone; None if an earlier owner knew it."""

    def returned(self, account: str, stanza: Envelope, turn: Turn) -> Result:
        """Handle a stanza that its session ended too early for."""

    def event(self, account: str, message: Message, turn: Turn) -> Result:
        """Handle what another service tells of an account."""

    def failed(self, account: str, work: object, error: Exception, turn: Turn) -> None:
        """A handler raised: answer for it. `account` is whose mailbox it held, `work` the stanza or message that it was given."""
