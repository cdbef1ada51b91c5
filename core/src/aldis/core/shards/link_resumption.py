"""A gateway's side of XEP-0198: sessions whose clients count, wait for their clients, and go on with new streams."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aldis.core.bus.port import Bus
from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.rejoin import Leaving
from aldis.core.contracts.resumption import Copy, Enable, Enabled, LetGo, Managed, Resume, Resumed, ResumeFailed
from aldis.core.contracts.sessions import SessionSnapshot
from aldis.core.shards.link import Client, Ended, Link

ELSEWHERE: Final = "the session goes on with another stream"
OVER: Final = "the session ended while the server was cut off from itself; connect again"


class LinkResumption:
    """What a hub does for such sessions."""

    def __init__(
        self,
        bus: Bus,
        links: dict[str, Link],
        ended: Mapping[str, Ended],
        drop: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        self._bus = bus
        self.queue = ""
        """The gateway's, where answers go."""
        self._links = links
        self._ended = ended
        self._drop = drop
        self._now = now
        self.shelf: Callable[[Link], Client]
        """Makes what stands for the client of a session that waits for one, and ends the session when its time is over."""
        self.opened: Callable[[str, str, str, float], Link]
        """Makes a link, by id, account, peer and time of its login, for a session whose client has gone again."""
        self.forgotten: Callable[[Link, bool], None]
        """A session is here no longer: it has moved, or is over."""
        self.given: Callable[[Link, int, str, Envelope, str], None]
        """Gives a stanza to a link's client: number, effect, stanza, and whom it is addressed to."""

    # --- from clients

    def enable(self, link: Link, *, resume: bool, seconds: int) -> None:
        """Ask for the count to begin; the answer is `Client.enabled`."""
        link.n += 1
        link.enabling = True
        self._bus.publish(link.queue, Enable(origin=Origin(link.id, link.n), generation=link.generation, resume=resume, seconds=seconds))

    def resume(self, link: Link, previd: str, h: int) -> None:
        """Ask to go on with a former stream; the answer is `Client.resumed`, `resume_failed` or `too_high`."""
        session, _, token = previd.rpartition(":")
        link.n += 1
        link.resuming = link.n
        self._bus.publish(
            link.queue,
            Resume(
                origin=Origin(link.id, link.n),
                gateway=self.queue,
                account=link.account,
                session=session,
                token=token,
                h=h,
                peer=link.peer,
                since=link.since,
            ),
        )

    def detach(self, link: Link) -> bool:
        """The stream is gone without a word: keep the session, if its client may come back."""
        if self._links.get(link.id) is not link or link.managed is None or not link.managed.token:
            return False
        link.client = self.shelf(link)
        link.until = self._now() + link.managed.seconds
        link.wanted = 0
        return True

    def leave(self) -> None:
        """The gateway stops: have the shards keep the sessions that are still here."""
        for shard in {link.queue for link in self._links.values()}:
            self._bus.publish(shard, Leaving(gateway=self.queue))

    def leave_behind(self) -> None:
        """The gateway has stopped: sessions that wait for their clients do so with their shards, and nobody here ends them."""
        links = list(self._links.values())
        self._links.clear()
        for link in links:
            link.client.close("", "")

    # --- from shards

    def control(self, message: Message) -> None:
        """Take what an owner says of this."""
        match message:
            case Enabled():
                self._enabled(message)
            case Resumed():
                self._resumed(message)
            case ResumeFailed():
                self._failed(message)
            case LetGo():
                self._let_go(message)

    def _enabled(self, message: Enabled) -> None:
        link = self._links.get(message.session)
        if link is None or link.generation != message.generation or link.managed is not None:
            self._drop("no-session" if link is None else "repeat")
            return
        link.floor = message.n
        link.manage(Managed(message.token, message.seconds, message.n, message.number))
        link.client.enabled(link.previd, message.seconds)

    def _resumed(self, message: Resumed) -> None:
        old = self._links.get(message.session)
        ended = self._ended.get(message.session)
        if max(0 if old is None else old.generation, 0 if ended is None else ended.generation) >= message.generation:
            self._drop("repeat")
            return
        left = [] if old is None else [copy for copy in old.unwritten if copy[0] > message.number]
        if old is not None:
            self._forget(old)
        link = self._links.get(message.request)
        if link is None or link.resuming != message.n:  # the new stream is gone as well
            link = self.opened(message.session, message.jid.partition("/")[0], message.peer, message.since)
            link.become(message)
            self._links[link.id] = link
            self.detach(link)
            self._give(link, left)
            return
        del self._links[link.id]
        link.become(message)
        self._links[link.id] = link
        link.client.resumed(link.previd, link.h)
        self._give(link, left)

    def _give(self, link: Link, left: Iterable[tuple[int, str, Envelope]]) -> None:
        """Give the new stream what the old one had here: its shard sends that again, but may die before it has."""
        for number, effect, stanza in left:
            self.given(link, number, effect, stanza, stanza.to or link.jid)

    def _failed(self, message: ResumeFailed) -> None:
        link = self._links.get(message.session)
        if link is None or link.resuming != message.n:
            self._drop("no-session")
            return
        link.resuming = 0
        if message.sent >= 0:
            link.client.too_high(message.h, message.sent)
        else:
            link.client.resume_failed(message.condition, None if message.h < 0 else message.h)

    def _let_go(self, message: LetGo) -> None:
        link = self._links.get(message.session)
        if link is None or link.generation != message.generation:
            self._drop("no-session")
            return
        self._forget(link, over=message.over)

    def _forget(self, link: Link, *, over: bool = False) -> None:
        """Close the stream of a session that goes on with another one, or is over."""
        del self._links[link.id]
        self.forgotten(link, not over)
        link.client.close("internal-server-error" if over else "conflict", OVER if over else ELSEWHERE)


def snapshot(link: Link, seen: tuple[tuple[str, int, str], ...]) -> SessionSnapshot:
    """What the next owner of its shard must know of a session."""
    link.trim()
    return SessionSnapshot(
        link.id,
        link.generation,
        link.jid,
        link.number,
        link.note,
        seen,
        link.peer,
        link.since,
        link.handled,
        link.managed,
        tuple(Copy(*copy) for copy in link.unwritten),
    )
