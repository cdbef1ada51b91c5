"""Stanzas for handlers that look into them; the path of a message never makes one."""

from dataclasses import dataclass
from enum import StrEnum

from lxml import etree

from aldis.core.xmpp.jid import Jid


class IqType(StrEnum):
    """RFC 6120 §8.2.3."""

    GET = "get"
    SET = "set"
    RESULT = "result"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Iq:
    """A request that a handler answers: get or set, with its one payload."""

    type: IqType
    id: str
    sender: Jid
    """The full JID of who asks."""
    to: Jid
    """A domain, or the bare JID of an account; the sender's own if the client sent none (RFC 6120 §10.3.3)."""
    payload: etree._Element
    lang: str = ""

    @property
    def from_owner(self) -> bool:
        """Does somebody ask of their own account?"""
        return self.sender.bare == self.to
