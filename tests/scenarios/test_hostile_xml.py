"""RFC 6120 §13: XML made to hurt, against the real server: the RFC's error or a clean close, while others chat undisturbed."""

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.login import Plain, Scram
from tests.support.cases import case
from tests.support.siege import Fortress, Pair

HEADER = "<stream:stream to='capulet.lit' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
BOMB = "<!DOCTYPE b [<!ENTITY a0 'ha'>" + "".join(f"<!ENTITY a{n} '&a{n - 1};&a{n - 1};'>" for n in range(1, 40)) + "]>"
QUADRATIC = f"<!DOCTYPE b [<!ENTITY a '{'x' * 10_000}'>]>"
EXTERNAL = "<!DOCTYPE b [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"
PARAMETER = "<!DOCTYPE b [<!ENTITY % a SYSTEM 'http://127.0.0.1:1/'> %a;]>"

PROLOGUES: list[tuple[str | bytes, str]] = [
    (BOMB + HEADER + ">&a39;", "restricted-xml"),
    (QUADRATIC + HEADER + ">" + "&a;" * 100, "restricted-xml"),
    (EXTERNAL + HEADER + ">&a;", "restricted-xml"),
    (PARAMETER + HEADER, "restricted-xml"),
    ("<!DOCTYPE b SYSTEM 'http://127.0.0.1:1/x.dtd'>", "restricted-xml"),
    ("<?xml version='1.0'?><!-- " + "x" * 50_000, "restricted-xml|policy-violation"),
    (HEADER + f" a='{'x' * 200_000}'>", "policy-violation"),
    (HEADER + "".join(f" a{n}='1'" for n in range(5_000)) + ">", "policy-violation"),
    (HEADER + "".join(f" xmlns:n{n}='urn:{n}'" for n in range(5_000)) + ">", "policy-violation"),
    ("<" + "x" * 100_000, "policy-violation"),
    ("<stream:stream " + "x" * 100_000, "policy-violation"),
    (HEADER.encode("utf-16"), "unsupported-encoding"),
    (HEADER.encode("utf-16-le"), "unsupported-encoding"),
    (HEADER.encode("utf-32"), "unsupported-encoding"),
    (b"<?xml version='1.0' encoding='EBCDIC-CP-US'?>", "unsupported-encoding"),
    (b"<?xml version='1.0' encoding='UTF-7'?>+ADw-", "unsupported-encoding"),
    (b"\0" * 1000, "unsupported-encoding"),
    (b"\xff" * 1000, "unsupported-encoding"),
    (bytes(range(128, 256)) * 10, "unsupported-encoding|not-well-formed"),
    (b"<\xc0\xaf>", "unsupported-encoding|not-well-formed"),
]
"""Before there is a stream."""

CONTENTS: list[tuple[str | bytes, str]] = [
    ("<message>&lol;</message>", "restricted-xml"),
    ("<message><body>&#xFFFE;</body></message>", "not-well-formed"),
    ("<message><body>&#x1F;</body></message>", "not-well-formed"),
    ("<message><!-- a --></message>", "restricted-xml"),
    ("<message><?a b?></message>", "restricted-xml"),
    ("<message><body>" + "&amp;" * 100_000, "policy-violation"),
    ("<message><body><![CDATA[" + "x" * 400_000, "policy-violation"),
    ("<message><body>" + "x" * 400_000, "policy-violation"),
    ("<message>" + "<a>" * 100_000, "policy-violation"),
    ("<message>" + "<a xmlns='urn:x'>" * 10_000, "policy-violation"),
    (f"<message a='{'x' * 400_000}'/>", "policy-violation"),
    (f"<message><body a='{'&lt;' * 50_000}'/></message>", "policy-violation"),
    ("<message " + "".join(f" a{n}='1'" for n in range(10_000)) + "/>", "policy-violation"),
    ("<message><x " + "".join(f" xmlns:n{n}='urn:{n}'" for n in range(10_000)) + "/></message>", "policy-violation"),
    ("<message>" + "".join(f"<x xmlns='urn:{n}'/>" for n in range(10_000)) + "</message>", "policy-violation"),
    (f"<message><{'x' * 100_000}/></message>", "policy-violation"),
    (f"<{'m' * 300_000}/>", "policy-violation"),
    (f"<message><x xmlns='urn:{'x' * 5_000}'/></message>", "policy-violation"),
    (b"<message><body>\xc3\x28</body></message>", "unsupported-encoding|not-well-formed"),
    (b"<message><body>\xf8\xa1\xa1\xa1\xa1</body></message>", "unsupported-encoding"),
    (b"<message><body>\xed\xbf\xbf</body></message>", "unsupported-encoding"),
    (b"<message><body>\xc0\x80</body></message>", "unsupported-encoding"),
    (b"<message to='\xff'/>", "unsupported-encoding|not-well-formed"),
    (b"<message><body>\x00</body></message>", "not-well-formed"),
    ("<message><body>]]></body></message>", "not-well-formed"),
    ("</message>", "not-well-formed"),
    ("<message></iq>", "not-well-formed"),
    ("<message xmlns:x='http://www.w3.org/2000/xmlns/'/>", "not-well-formed"),
    ("<message xmlns:xml='urn:x'/>", "not-well-formed"),
    ("<message x:a='1' xmlns:x='urn:x' y:a='2' xmlns:y='urn:x'/>", "not-well-formed"),
    (HEADER + "></stream:stream>", "unsupported-stanza-type"),
    ("<!DOCTYPE x>", "not-well-formed|restricted-xml"),
    (BOMB, "not-well-formed|restricted-xml"),
]
"""Where stanzas stand."""


async def is_told_one_of(actor: Actor, conditions: str) -> None:
    """Wait for one of these stream errors and the end of it all; who sent much may find the connection cut."""
    told = await actor.hears()
    names = [child.tag.rpartition("}")[2] for child in told]
    assert names
    assert names[0] in conditions.split("|"), names
    await actor.is_closed()


@rfc("6120", "4.9.3.18", "4.9.3.22", "11.1", "13.12")
@pytest.mark.parametrize("direct", [False, True])
async def test_a_prologue_made_to_hurt_is_refused(fortress: Fortress, peace: Pair, direct: bool) -> None:
    for data, condition in PROLOGUES:
        actor = fortress.actor()
        await actor.connects(direct=direct)
        with case(data, condition):
            await actor.sends(data)
            await actor.hears_header()
            await is_told_one_of(actor, condition)
        await actor.vanishes()


@rfc("6120", "4.9.3.13", "4.9.3.14", "4.9.3.18", "11.1", "13.12")
@pytest.mark.parametrize("phase", ["before TLS", "before authentication", "before binding", "bound"])
async def test_content_made_to_hurt_is_refused(fortress: Fortress, peace: Pair, phase: str) -> None:
    for data, condition in CONTENTS:
        actor = fortress.actor()
        if phase == "bound":
            await actor.logs_in()
        else:
            await actor.connects(direct=phase != "before TLS")
            await actor.opens()
        if phase == "before binding":
            await actor.authenticates()
            await actor.opens()
        with case(data, condition):
            await actor.sends(data)
            await is_told_one_of(actor, condition)
        await actor.vanishes()


@rfc("6120", "13.12")
@pytest.mark.parametrize("direct", [False, True])
async def test_who_goes_on_sending_after_the_error_is_cut_off(fortress: Fortress, peace: Pair, direct: bool) -> None:
    for flood in ("<a>", "x", "<a b='", "<!--", " "):
        actor = fortress.actor()
        await actor.connects(direct=direct)
        await actor.opens()
        await actor.pours(flood * 10_000, megabytes=8)
        await actor.vanishes()


@rfc("6120", "4.9.3.12", "7.1")
async def test_stanzas_before_binding_reach_nobody(fortress: Fortress, peace: Pair) -> None:
    """What the pair would get, it would report: it expects its own messages and nothing else."""
    for authenticated in (False, True):
        actor = fortress.actor()
        await actor.connects()
        await actor.opens()
        if authenticated:
            await actor.authenticates()
            await actor.opens()
        await actor.sends(f"<message to='{peace.one.jid}' type='chat'><body>!</body></message>" * 50)
        await actor.is_told("not-authorized")
        await actor.vanishes()


@rfc("6120", "8.1.2.1", "4.9.3.9")
async def test_forged_senders_reach_nobody(fortress: Fortress, peace: Pair) -> None:
    for sender in (peace.other.jid, peace.other.account, "capulet.lit", "juliet@capulet.lit/else", "@", "juliet@capulet.lit/", ""):
        actor = fortress.actor()
        await actor.logs_in("balcony")
        with case(sender):
            await actor.sends(f"<message to='{peace.one.jid}' from='{sender}'><body>!</body></message>")
            await actor.is_told("invalid-from")
        await actor.vanishes()


@rfc("6120", "6.3.8", "6.5.6")
async def test_a_foreign_identity_opens_no_door(fortress: Fortress, peace: Pair) -> None:
    for authzid in ("nurse@capulet.lit", "capulet.lit", "x" * 3000):
        actor = fortress.actor()
        await actor.connects()
        await actor.opens()
        with case(authzid):
            await actor.is_refused("invalid-authzid", "PLAIN", Plain("juliet", actor.password, authzid))
            await actor.is_refused("invalid-authzid", "SCRAM-SHA-1", Scram("SCRAM-SHA-1", "juliet", actor.password, authzid))
            await actor.authenticates()
        await actor.vanishes()
