"""XEP-0030: the payloads of service discovery."""

from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from aldis.core.xmpp.element import child, element
from aldis.core.xmpp.feature import Identity
from aldis.core.xmpp.namespaces import DISCO_INFO, DISCO_ITEMS


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of disco#items (XEP-0030 §4)."""

    jid: str
    name: str = ""
    node: str = ""


def info(identities: Iterable[Identity], features: Iterable[str]) -> etree._Element:
    """A disco#info answer; at least one identity and the feature disco#info are in it (XEP-0030 §3.1)."""
    query = element(DISCO_INFO, "query")
    for identity in identities:
        named = {"name": identity.name} if identity.name else {}
        child(query, "identity", category=identity.category, type=identity.type, **named)
    for feature in sorted({DISCO_INFO, *features}):
        child(query, "feature", var=feature)
    return query


def items(entries: Iterable[Item]) -> etree._Element:
    """A disco#items answer."""
    query = element(DISCO_ITEMS, "query")
    for entry in entries:
        attributes = {"jid": entry.jid}
        if entry.name:
            attributes["name"] = entry.name
        if entry.node:
            attributes["node"] = entry.node
        child(query, "item", **attributes)
    return query
