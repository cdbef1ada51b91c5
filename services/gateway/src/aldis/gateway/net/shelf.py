"""What stands for the client of a session whose stream broke, until the client comes back or its time is over (XEP-0198 §5)."""

import asyncio
from typing import TYPE_CHECKING

from aldis.core.contracts.envelope import Envelope
from aldis.core.shards.link import Link, Uncounted

if TYPE_CHECKING:
    from aldis.gateway.net.board import Board


class Shelved(Uncounted):
    """No client: what it is given is kept with the link."""

    def __init__(self, board: "Board", link: Link) -> None:
        self._board = board
        self._link = link
        self._timer: asyncio.TimerHandle = board.loop.call_later(link.managed.seconds if link.managed is not None else 0.0, self._over)
        board.figures.shelved.n += 1

    def _over(self) -> None:
        self._board.log.info("session.expired", jid=self._link.jid, session=self._link.id)
        self.close("", "")

    def close(self, condition: str, text: str) -> None:
        """The session is over, or goes on elsewhere."""
        self._timer.cancel()
        self._board.figures.shelved.n -= 1
        self._board.hub.end(self._link)

    def stanza(self, stanza: Envelope, to: str) -> None:
        """It is kept."""

    def on_socket(self) -> int:
        """Nothing more than what the client has acknowledged is known to have arrived."""
        return 0

    def bound(self, jid: str) -> None:
        """Only a client binds."""

    def bind_refused(self, error: bytes) -> None:
        """Only a client binds."""
