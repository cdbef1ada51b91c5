"""XEP-0198: Stream Management, as far as users decide it: which sessions can be resumed, for how long, and by whom.

Counts and streams are the machinery's, for every sharded service alike (`core/shards`); the elements are the gateway's.
"""

from aldis.core.contracts.resumption import Enable, Resume
from aldis.router.context import Shard, UserSession
from aldis.router.features.binding import Binding


class Resumption:
    """The sessions of one shard's users that their clients may come back to."""

    def __init__(self, shard: Shard, binding: Binding, seconds: int) -> None:
        self._shard = shard
        self._binding = binding
        self._seconds = seconds

    def resumable(self, session: UserSession, message: Enable) -> tuple[str, int]:
        """Make the token, which nobody can guess and which is the same when the work is done again; the client may want less time (§3)."""
        if not self._seconds or session.replaced:
            return "", 0
        return self._shard.make_id(message.origin, "resumption"), min(self._seconds, message.seconds or self._seconds)

    def may_resume(self, session: UserSession, message: Resume) -> bool:
        """Refuse who authenticated before the account was deleted or disabled."""
        return not self._binding.is_expelled(session.account, message.since)
