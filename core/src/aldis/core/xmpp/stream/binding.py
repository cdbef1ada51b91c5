"""Read what a client asks for when it binds a resource (RFC 6120 §7.6, §7.7)."""

from typing import Final

from aldis.core.xmpp.errors.stanza import BadRequest
from aldis.core.xmpp.namespaces import BIND
from aldis.core.xmpp.stream.expat import new_parser

_RESOURCE: Final = ["iq", f"{BIND}}}bind", f"{BIND}}}resource"]


def wanted_resource(children: bytes) -> str | None:
    """Return the resource in the `<bind/>` that a frame holds, as it stands there; None leaves the choice to the server."""
    path: list[str] = []
    found: list[str] = []

    def starts(name: str, _: dict[str, str]) -> None:
        path.append(name)
        if path == _RESOURCE:
            found.append("")

    def ends(_: str) -> None:
        path.pop()

    def characters(text: str) -> None:
        if path == _RESOURCE:
            found[-1] += text

    parser = new_parser()
    parser.StartElementHandler = starts
    parser.EndElementHandler = ends
    parser.CharacterDataHandler = characters
    parser.Parse(b"<iq>" + children + b"</iq>", True)
    if len(found) > 1:
        raise BadRequest("one resource at a time")
    return found[0] or None if found else None
