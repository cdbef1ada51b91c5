"""Read what a client asks for when it binds a resource (RFC 6120 §7.6, §7.7)."""

from typing import Final

from lxml import etree

from aldis.core.xmpp.errors.stanza import BadRequest
from aldis.core.xmpp.namespaces import BIND

_RESOURCE: Final = f"{{{BIND}}}bind/{{{BIND}}}resource"


def wanted_resource(children: bytes) -> str | None:
    """Return the resource in a `<bind/>`, as it stands there; None leaves the choice to the server."""
    try:
        root = etree.fromstring(b"<iq xmlns='jabber:client'>" + children + b"</iq>")
    except etree.XMLSyntaxError:  # libxml2 minds namespace names that are no URI, expat does not
        raise BadRequest from None
    return root.findtext(_RESOURCE) or None
