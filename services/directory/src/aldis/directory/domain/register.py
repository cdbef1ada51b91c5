"""XEP-0077: what a registered user asks in a `jabber:iq:register` query."""

from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from aldis.core.xmpp.errors.stanza import BadRequest
from aldis.core.xmpp.namespaces import DATA_FORMS, REGISTER

QUERY: Final = f"{{{REGISTER}}}query"


@dataclass(frozen=True, slots=True)
class Remove:
    """Cancel the registration (XEP-0077 §3.2)."""


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Set another password (XEP-0077 §3.3)."""

    username: str
    password: str = field(repr=False)


def parse(query: etree._Element) -> Remove | ChangePassword:
    """Read the query of an IQ-set; raises `BadRequest` as the tables of XEP-0077 §3.2 and §3.3 have it."""
    fields: dict[str, str] = {}
    for child in query:
        name = etree.QName(child)
        if name.namespace == DATA_FORMS:  # none was offered (XEP-0077 §4)
            raise BadRequest("send username and password as elements, not as a form")
        if name.namespace != REGISTER:
            continue
        if name.localname in fields or len(child):
            raise BadRequest(f"there is too much in or of {name.localname}")
        fields[name.localname] = child.text or ""
    if "remove" in fields:
        if len(query) > 1:
            raise BadRequest("<remove/> must stand alone")
        return Remove()
    if not fields.get("username") or not fields.get("password"):  # an empty password leaves the old one
        raise BadRequest("changing the password needs both username and password")
    return ChangePassword(fields["username"], fields["password"])
