"""What actors do with XEP-0198."""

import asyncio
from abc import abstractmethod
from typing import Final

from aldis.core.testing.counting import Counting
from aldis.core.testing.patterns import ANY, MORE, Element, expect, show
from aldis.core.testing.wire import Doors
from aldis.core.xmpp.namespaces import STANZA_ERRORS
from aldis.core.xmpp.sm import NS

MANAGED: Final = 8.0
"""Seconds for an acknowledgement: less than an actor waits for anything else."""


class Managing:
    """Verbs of an actor whose stanzas are counted. Requests of the server are answered as they come, unless it is `mute`."""

    def __init__(self) -> None:
        self.counting = Counting()
        self.mute = False
        """It answers no `<r/>`."""

    @abstractmethod
    async def sends(self, xml: str | bytes) -> None: ...

    @abstractmethod
    async def receives(self, pattern: str) -> Element: ...

    @abstractmethod
    async def hears(self) -> Element: ...

    @abstractmethod
    async def arrives(self, doors: Doors | None) -> None: ...

    @abstractmethod
    async def vanishes(self) -> None: ...

    @abstractmethod
    async def reads_on(self) -> bool: ...

    async def enables(self, *, resume: bool = True, seconds: int = 0) -> str:
        """Have stanzas counted; return the id by which the stream can be resumed."""
        wanted = (" resume='true'" if resume else "") + (f" max='{seconds}'" if seconds else "")
        await self.sends(f"<enable xmlns='{NS}'{wanted}/>")
        given = f" id='{ANY}' resume='true' max='{ANY}'" if resume else ""
        await self.receives(f"<enabled xmlns='{NS}'{given}/>")
        return self.counting.previd

    async def is_acknowledged(self) -> None:
        """Ask, and wait until everything that was sent is acknowledged; what comes meanwhile is kept."""
        await self.sends(f"<r xmlns='{NS}'/>")
        counting = self.counting
        try:
            async with asyncio.timeout(MANAGED):
                while counting.acked < len(counting.sent):
                    expect(await self.reads_on(), f"{self} lost the connection where an acknowledgement was expected")
        except TimeoutError:
            raise AssertionError(f"{self} sent {len(counting.sent)} stanzas, and {counting.acked} were acknowledged") from None

    async def acknowledges(self, h: int | None = None) -> None:
        """Say how much came, or something else."""
        await self.sends(f"<a xmlns='{NS}' h='{self.counting.h if h is None else h}'/>")

    async def resumes(self, doors: Doors | None = None, *, previd: str | None = None, h: int | None = None) -> None:
        """Cut what there is, connect, log in, go on with the former stream, and send again what was not acknowledged."""
        await self.vanishes()
        await self.asks_to_resume(doors, previd=previd, h=h)
        answer = await self.hears()
        expect(answer.tag == f"{{{NS}}}resumed", f"{self} can't resume: {show(answer)}")
        expect(answer.get("previd") == self.counting.previd, f"{self} resumed something else: {show(answer)}")
        again = self.counting.sent[self.counting.acked :]
        del self.counting.sent[self.counting.acked :]
        for stanza in again:
            await self.sends(stanza)

    async def asks_to_resume(self, doors: Doors | None = None, *, previd: str | None = None, h: int | None = None) -> None:
        """Connect, log in, and ask to go on with the former stream."""
        await self.arrives(doors)
        id_ = self.counting.previd if previd is None else previd
        await self.sends(f"<resume xmlns='{NS}' previd='{id_}' h='{self.counting.h if h is None else h}'/>")

    async def fails_to_resume(self, doors: Doors | None = None, *, previd: str | None = None, h: int | None = None) -> int | None:
        """Be refused; return what the server says that it had, if it knows the former stream."""
        await self.vanishes()
        await self.asks_to_resume(doors, previd=previd, h=h)
        element = await self.receives(f"<failed xmlns='{NS}'><item-not-found xmlns='{STANZA_ERRORS}'/>{MORE}</failed>")
        expect(element.attrib.keys() <= {"h"}, f"{self} got {show(element)}")
        told = element.get("h")
        return None if told is None else int(told)
