"""XEP-0077: In-Band Registration, for strangers: an account made on a stream that is not authenticated.

Those who are registered ask the directory, which has a feature of its own for them.
"""

from typing import Final

from aldis.core.xmpp.element import child, element, parse_children, to_bytes
from aldis.core.xmpp.errors.stanza import (
    BadRequest,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    ServiceUnavailable,
    StanzaError,
    escape,
)
from aldis.core.xmpp.feature import Feature
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.namespaces import REGISTER
from aldis.core.xmpp.stream.frames import Frame
from aldis.gateway.context import Context
from aldis.gateway.domain.conditions import LEGACY_CODES

feature = Feature[Context]("registration", xep=77, version="2.4", note="no data forms")

QUERY: Final = f"{{{REGISTER}}}query"
STREAM_FEATURE: Final = b"<register xmlns='http://jabber.org/features/iq-register'/>"


async def answer(ctx: Context, frame: Frame, *, domain: str, peer: str, stranger: bool, private: bool) -> bytes:
    """Answer a stranger's IQ; `private` if the stream is one on which a password may travel."""
    iq = frame.attrs.get("id", "")
    try:
        payload = await _answer(ctx, frame, domain=domain, peer=peer, stranger=stranger, private=private)
    except StanzaError as error:
        code = LEGACY_CODES.get(error.condition, 500)
        xml = error.to_xml().replace(b"<error ", b"<error code='%d' " % code, 1)
        return f"<iq type='error' id='{escape(iq)}' from='{escape(domain)}'>".encode() + xml + b"</iq>"
    return f"<iq type='result' id='{escape(iq)}' from='{escape(domain)}'>".encode() + payload + b"</iq>"


async def _answer(ctx: Context, frame: Frame, *, domain: str, peer: str, stranger: bool, private: bool) -> bytes:
    _check(ctx, frame, domain, stranger=stranger, private=private)
    if frame.attrs.get("type") == "get":
        return _form()
    username, password = _wanted(frame)
    if not username or not password:  # XEP-0077 §3.1: an empty one counts as missing
        raise NotAcceptable("an account needs both a username and a password")
    try:
        account = str(Jid(username, domain))
    except JidMalformed as error:
        raise NotAcceptable(error.text) from None
    await ctx.directory.register(account, password, peer)
    return b""


def _check(ctx: Context, frame: Frame, domain: str, *, stranger: bool, private: bool) -> None:
    if frame.attrs.get("type") not in ("get", "set") or not frame.attrs.get("id"):
        raise BadRequest("a request is an IQ of type get or set with an id")  # RFC 6120 §8.2.3
    if not ctx.settings.registration.enabled or str(Jid.parse(frame.attrs.get("to", domain))) != domain:
        raise ServiceUnavailable
    if not stranger:
        raise NotAcceptable("you have an account")  # XEP-0077 §3.1.1: no second identity
    if not private:
        raise NotAllowed("use TLS first")  # XEP-0077 §11


def _form() -> bytes:
    """Say what is needed (XEP-0077 §3.1)."""
    query = element(REGISTER, "query")
    child(query, "instructions", "Choose a username and a password.")
    child(query, "username")
    child(query, "password")
    return to_bytes(query)


def _wanted(frame: Frame) -> tuple[str, str]:
    found = {"username": "", "password": ""}
    for query in parse_children(frame.children):
        for each in query:
            name = each.tag.rpartition("}")[2]
            if each.tag == f"{{{REGISTER}}}{name}" and name in found:
                if len(each) or found[name]:
                    raise BadRequest(f"there is too much in or of {name}")
                found[name] = each.text or ""
    return found["username"], found["password"]
