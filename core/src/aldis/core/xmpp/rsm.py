"""XEP-0059: Result Set Management."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from lxml import etree

from aldis.core.xmpp.element import child, element
from aldis.core.xmpp.errors.stanza import BadRequest, ItemNotFound
from aldis.core.xmpp.namespaces import RSM

_Item = TypeVar("_Item")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_MAX_UID: Final = 3071
"""Octets of a UID; the longest we hand out is a JID."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page somebody asks for."""

    max: int | None = None
    before: str | None = None
    """The UID that the page ends before; empty for the end of the set (§2.5)."""
    after: str | None = None
    index: int | None = None

    @classmethod
    def from_xml(cls, xml: etree._Element) -> "PageRequest":
        """Read a `<set/>` (§2.1 to §2.7)."""
        after = _uid(xml, "after") or None  # an empty one is where a set begins anyway
        request = cls(_number(xml, "max"), _uid(xml, "before"), after, _number(xml, "index"))
        if request.index is not None and (request.before is not None or request.after is not None):
            raise BadRequest("a page is asked for by index or by its neighbour, not by both")  # §2.6: only if the UID is not known
        return request

    @classmethod
    def child_of(cls, parent: etree._Element) -> "PageRequest | None":
        """Read the `<set/>` in a query, if there is one."""
        xml = parent.find(f"{{{RSM}}}set")
        return None if xml is None else cls.from_xml(xml)

    def limit(self, *, default: int, ceiling: int) -> int:
        """How many items to send at most: fewer than were asked for is always allowed (§2.1)."""
        return min(default if self.max is None else self.max, ceiling)


@dataclass(frozen=True, slots=True)
class PageResult:
    """What a page is of its set."""

    first: str | None = None
    last: str | None = None
    index: int | None = None
    """Where in the set the first item is."""
    count: int | None = None

    def to_xml(self) -> etree._Element:
        """Make the `<set/>`; an empty page has neither first nor last (§2.2)."""
        made = element(RSM, "set")
        if self.first is not None:
            first = child(made, "first", self.first)
            if self.index is not None:
                first.set("index", str(self.index))
        if self.last is not None:
            child(made, "last", self.last)
        if self.count is not None:
            child(made, "count", str(self.count))
        return made


def paginate(
    request: PageRequest, items: Sequence[_Item], uid: Callable[[_Item], str], *, default: int, ceiling: int
) -> tuple[Sequence[_Item], PageResult]:
    """Cut a page out of a set that is in memory, in its own order.

    A UID that is not there raises `ItemNotFound`, since nothing says where it was (§2.4).
    """
    limit = request.limit(default=default, ceiling=ceiling)
    start, stop = 0, len(items)
    if request.after:
        start = _position(items, uid, request.after) + 1
    if request.before:
        stop = _position(items, uid, request.before)
    if request.index is not None:
        start = min(request.index, stop)
    if request.before is None:
        stop = min(stop, start + limit)
    else:
        start = max(start, stop - limit)
    page = items[start : max(start, stop)]
    if not page:
        return page, PageResult(count=len(items))
    return page, PageResult(uid(page[0]), uid(page[-1]), start, len(items))


def _position(items: Sequence[_Item], uid: Callable[[_Item], str], wanted: str) -> int:
    for position, item in enumerate(items):
        if uid(item) == wanted:
            return position
    raise ItemNotFound("the item that the page was to begin or end at is not there")


def _text(xml: etree._Element, name: str) -> str | None:
    found = xml.find(f"{{{RSM}}}{name}")
    return None if found is None else (found.text or "")


def _uid(xml: etree._Element, name: str) -> str | None:
    text = _text(xml, name)
    if text is not None and len(text.encode()) > _MAX_UID:
        raise BadRequest(f"<{name}/> is too long")
    return text


def _number(xml: etree._Element, name: str) -> int | None:
    text = _text(xml, name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text.strip()):
        raise BadRequest(f"<{name}/> is not a number")
    return int(text)
