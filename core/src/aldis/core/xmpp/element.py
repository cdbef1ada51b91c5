"""Elements for the few payloads that are looked into: parsed safely, built small, written without their context's namespace."""

from typing import Final

from lxml import etree

from aldis.core.xmpp.errors.stanza import BadRequest
from aldis.core.xmpp.namespaces import CLIENT

_OPEN: Final = f"<x xmlns='{CLIENT}'>".encode()
_SHUT: Final = b"</x>"


def parse_children(children: bytes) -> list[etree._Element]:
    """The direct children of a stanza, whose bytes stand alone relative to the content namespace.

    The gateway has let nothing through that is not restricted XML, so what fails here has not come from one: it raises
    `BadRequest` all the same.
    """
    # lxml goes silent after an undefined entity with resolve_entities=False; a parser costs little beside the parse
    parser = etree.XMLParser(
        resolve_entities="internal",  # type: ignore[arg-type]  # the stubs are older than this value
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(_OPEN + children + _SHUT, parser)
    except etree.XMLSyntaxError:
        raise BadRequest("the content is not well-formed") from None
    return list(root)


def element(namespace: str, name: str, text: str = "", /, **attributes: str) -> etree._Element:
    """A new element whose namespace is its default one."""
    made = etree.Element(f"{{{namespace}}}{name}", attributes, nsmap={None: namespace})  # type: ignore[dict-item]  # the stubs know no default namespace
    if text:
        made.text = text
    return made


def child(parent: etree._Element, name: str, text: str = "", /, **attributes: str) -> etree._Element:
    """A new last child in the parent's namespace."""
    made = etree.SubElement(parent, f"{{{etree.QName(parent).namespace}}}{name}", attributes)
    if text:
        made.text = text
    return made


def to_bytes(payload: etree._Element) -> bytes:
    """The element as a stanza's child, relative to the content namespace; its prefixes are its own."""
    return etree.tostring(payload, encoding="UTF-8", xml_declaration=False, with_tail=False)
