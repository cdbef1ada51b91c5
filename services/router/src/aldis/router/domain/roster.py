"""RFC 6121 §2: the roster of one account, and the requests that pend beside it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from lxml import etree

from aldis.core.xmpp.errors.stanza import (
    BadRequest,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    PolicyViolation,
    ResourceConstraint,
)
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.namespaces import ROSTER
from aldis.router.domain.subscription import Action, Change, State, farewell, inbound, outbound

_ITEM: Final = f"{{{ROSTER}}}item"
_GROUP: Final = f"{{{ROSTER}}}group"
_SPECIAL: Final = re.compile("[&<>'\"\t\n\r]")
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one account may keep; 0 = unlimited."""

    items: int = 2000
    groups: int = 50
    """Of one item."""
    bytes: int = 1_000_000
    """Of all names, groups and addresses together: one answer must hold them."""
    name: int = 1023
    """Characters of a name, and of a group."""
    requests: int = 200
    """Requests of strangers that pend: they cost the account's memory and a stranger nothing."""
    request_bytes: int = 16_384
    """Of one such request, which is kept whole."""


@dataclass(frozen=True, slots=True)
class Item:
    """A contact: what the user wrote, and how the two are subscribed."""

    jid: str
    """A bare JID in its normal form."""
    name: str = ""
    groups: tuple[str, ...] = ()
    state: State = State.NONE
    pending_in: bytes | None = None
    """The contact's whole subscription request, as whoever stored it writes stanzas; there while `state.pending_in` is."""
    listed: bool = True
    """The contact is in the roster; if not, all there is of it is its request, which no roster shows (RFC 6121 §A.1)."""

    @property
    def subscription(self) -> str:
        return self.state.subscription

    @property
    def ask(self) -> bool:
        return self.state.ask

    @property
    def approved(self) -> bool:
        return self.state.approved

    @property
    def weight(self) -> int:
        """Octets of what the user wrote."""
        return len(self.jid.encode()) + len(self.name.encode()) + sum(len(group.encode()) for group in self.groups)

    def to_xml(self) -> bytes:
        """The `<item/>`, relative to the roster's namespace (RFC 6121 §2.1.2)."""
        return _item(self).encode()


@dataclass(frozen=True, slots=True)
class RosterSet:
    """What a client asks for in a roster set: put this item there, or take it away (RFC 6121 §2.1.5)."""

    jid: str
    name: str = ""
    groups: tuple[str, ...] = ()
    remove: bool = False

    @classmethod
    def from_xml(cls, query: etree._Element, owner: str, limits: Limits) -> "RosterSet":
        """Read a `<query/>`, or refuse it (RFC 6121 §2.3.3); `owner` is the account's bare JID.

        Of the subscription only `remove` means anything here: a client can't set its own (§2.1.2.5).
        """
        items = query.findall(_ITEM)
        if len(items) != 1:
            raise BadRequest("a roster set holds exactly one item")
        item = items[0]
        jid = _contact(item.get("jid"))
        if jid == owner:
            raise NotAllowed("nobody is a contact of their own")
        if item.get("subscription") == "remove":
            return cls(jid, remove=True)
        name = item.get("name", "")
        if _exceeds(len(name), limits.name):
            raise NotAcceptable(f"a name has at most {limits.name} characters")
        return cls(jid, name, _groups(item.findall(_GROUP), limits))


@dataclass(frozen=True, slots=True)
class Step:
    """What a stanza or a roster set makes of an item; nothing has happened until it is stored and applied."""

    jid: str
    before: Item | None
    after: Item | None
    change: Change | None = None
    """What the server owes because of the subscription; None for a roster set that leaves it alone."""
    farewell: tuple[Action, ...] = ()
    """What the contact is sent on the user's behalf because the item goes."""

    @property
    def push(self) -> bool:
        """Whether the user's interested resources are told (RFC 6121 §2.1.6)."""
        return self.change is None or self.change.push

    @property
    def save(self) -> bool:
        """Whether there is anything to store; with `push`, the roster has a new version."""
        return self.before != self.after


class Roster:
    """All that one account knows of its contacts.

    Everything but `apply` only looks: a change is decided, stored, and then applied, so that a store that fails leaves
    nothing behind.
    """

    __slots__ = ("_items", "version")

    def __init__(self, items: Iterable[Item] = (), version: int = 0) -> None:
        self._items: Final = {item.jid: item for item in items}
        self.version = version

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def get(self, contact: str) -> Item | None:
        """The item of a bare JID, listed or not."""
        return self._items.get(contact)

    def state(self, contact: str) -> State:
        """How the account stands with a bare JID, known or not."""
        item = self._items.get(contact)
        return State.NONE if item is None else item.state

    def listed(self) -> list[Item]:
        """The roster proper."""
        return [item for item in self._items.values() if item.listed]

    def subscribers(self) -> list[str]:
        """Who gets the account's presence (RFC 6121 §4.2.2)."""
        return [item.jid for item in self._items.values() if item.state.seen]

    def subscriptions(self) -> list[str]:
        """Whose presence the account gets, and so whom to probe (RFC 6121 §4.3.1)."""
        return [item.jid for item in self._items.values() if item.state.sees]

    def requests(self) -> list[bytes]:
        """The requests to deliver whenever a resource becomes available, until they are answered (RFC 6121 §3.1.3)."""
        return [item.pending_in for item in self._items.values() if item.pending_in is not None]

    def to_xml(self, ver: str | None = None) -> bytes:
        """The `<query/>` with the whole roster; `ver` is for a client that keeps versions (RFC 6121 §2.6)."""
        items = "".join([_item(item) for item in self._items.values() if item.listed])
        return f"{_query(ver)}{items}</query>".encode()

    def put(self, wanted: RosterSet, limits: Limits) -> Step:
        """Decide a roster set that adds or changes an item: name and groups are its own, all else stays (RFC 6121 §2.3, §2.4)."""
        before = self._items.get(wanted.jid)
        if before is None or not before.listed:
            self._make_room(limits)
        after = replace(before or Item(wanted.jid), name=wanted.name, groups=wanted.groups, listed=True)
        if limits.bytes and after.weight > (0 if before is None else before.weight):
            others = sum(item.weight for item in self._items.values() if item is not before)
            if _exceeds(others + after.weight, limits.bytes):
                raise ResourceConstraint(f"a roster has at most {limits.bytes} octets")
        return Step(wanted.jid, before, after)

    def remove(self, contact: str) -> Step:
        """Decide the removal of an item, with what subscriptions and requests there are (RFC 6121 §2.5)."""
        before = self._items.get(contact)
        if before is None or not before.listed:
            raise ItemNotFound("no such item in the roster")  # RFC 6121 §2.5.3
        state = before.state
        change = Change(State.NONE, forward=False, push=True, reply=None, announce=False, withdraw=state.seen)
        return Step(contact, before, None, change, farewell(state))

    def sent(self, contact: str, action: Action, limits: Limits) -> Step:
        """Decide a subscription stanza of the user's own (RFC 6121 §A.2); the contact joins the roster if something begins."""
        before = self._items.get(contact)
        change = outbound(self.state(contact), action)
        listed = before is not None and before.listed
        if change.push and not listed:
            self._make_room(limits)
            listed = True
        return Step(contact, before, _moved(before, contact, change.state, None, listed=listed), change)

    def received(self, contact: str, action: Action, request: bytes, limits: Limits) -> Step:
        """Decide a subscription stanza of a contact's (RFC 6121 §A.3); `request` is kept while it pends.

        A stranger is never listed by what they send: that waits for the user's own word (§A.1).
        """
        before = self._items.get(contact)
        change = inbound(self.state(contact), action)
        listed = before is not None and before.listed
        if change.state.pending_in and action is Action.SUBSCRIBE and change.forward:
            self._keep(request, limits)
        return Step(contact, before, _moved(before, contact, change.state, request, listed=listed), change)

    def apply(self, step: Step, version: int) -> None:
        """Take over what has been stored."""
        if step.after is None:
            self._items.pop(step.jid, None)
        else:
            self._items[step.jid] = step.after
        self.version = version

    def _make_room(self, limits: Limits) -> None:
        if _exceeds(sum(item.listed for item in self._items.values()) + 1, limits.items):
            raise ResourceConstraint(f"a roster has at most {limits.items} items")

    def _keep(self, request: bytes, limits: Limits) -> None:
        if _exceeds(len(request), limits.request_bytes):
            raise PolicyViolation(f"a subscription request has at most {limits.request_bytes} octets")
        if _exceeds(sum(item.pending_in is not None for item in self._items.values()) + 1, limits.requests):
            raise ResourceConstraint("too many requests wait for an answer")


def push(item: Item, ver: str | None = None) -> bytes:
    """The `<query/>` that tells of one item that is new or changed (RFC 6121 §2.1.6)."""
    return f"{_query(ver)}{_item(item)}</query>".encode()


def removal(contact: str, ver: str | None = None) -> bytes:
    """The `<query/>` that tells of an item that is gone (RFC 6121 §2.5.2)."""
    return f"{_query(ver)}<item jid='{_escape(contact)}' subscription='remove'/></query>".encode()


def _moved(before: Item | None, contact: str, state: State, request: bytes | None, *, listed: bool) -> Item | None:
    """The item in its new state; None when neither the roster nor a request needs one."""
    if not listed and not state.pending_in:
        return None
    item = before or Item(contact)
    if item.state is state and item.listed == listed and before is not None:
        return before
    pending = None if not state.pending_in else item.pending_in if item.state.pending_in else request
    return replace(item, state=state, pending_in=pending, listed=listed)


def _contact(text: str | None) -> str:
    if text is None:
        raise BadRequest("an item has a jid")
    jid = Jid.parse(text)
    if jid.resource is not None:
        raise JidMalformed("a contact is a bare JID, without a resource")
    return str(jid)


def _groups(elements: list[etree._Element], limits: Limits) -> tuple[str, ...]:
    groups = tuple(element.text or "" for element in elements)
    if _exceeds(len(groups), limits.groups):
        raise NotAcceptable(f"an item is in at most {limits.groups} groups")
    if "" in groups:
        raise NotAcceptable("a group has a name; for no group at all leave the element out")
    if any(_exceeds(len(group), limits.name) for group in groups):
        raise NotAcceptable(f"a group's name has at most {limits.name} characters")
    if len(set(groups)) != len(groups):
        raise BadRequest("an item is in a group once")
    return groups


def _exceeds(size: int, limit: int) -> bool:
    return 0 < limit < size


def _query(ver: str | None) -> str:
    return f"<query xmlns='{ROSTER}'>" if ver is None else f"<query xmlns='{ROSTER}' ver='{_escape(ver)}'>"


def _item(item: Item) -> str:
    state = item.state
    name = f" name='{_escape(item.name)}'" if item.name else ""
    ask = " ask='subscribe'" if state.ask else ""
    approved = " approved='true'" if state.approved else ""
    start = f"<item jid='{_escape(item.jid)}'{name} subscription='{state.subscription}'{ask}{approved}"
    if not item.groups:
        return start + "/>"
    return f"{start}>{''.join([f'<group>{_escape(group)}</group>' for group in item.groups])}</item>"


def _escape(text: str) -> str:
    """Escape white space in attributes, too, which a parser would turn into spaces (XML §3.3.3)."""
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text
