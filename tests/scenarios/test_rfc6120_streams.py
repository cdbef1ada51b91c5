"""RFC 6120 §4: streams are opened, opened anew and closed, and the errors that end them."""

import asyncio

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.cluster import Cluster
from tests.support.cases import case
from tests.support.operator import manage

XMLNS = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
HEADER = f"<?xml version='1.0'?><stream:stream to='capulet.lit' version='1.0' {XMLNS}>"


# ── the header ──


@rfc("6120", "4.7.1", "4.7.3", "4.7.4", "4.7.5")
async def test_the_servers_header_says_who_it_is(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.opens()
    assert stranger.header["from"] == "capulet.lit"
    assert stranger.header["version"] == "1.0"
    assert stranger.header["{http://www.w3.org/XML/1998/namespace}lang"] == "en"
    assert len(stranger.header["id"]) >= 16
    assert "to" not in stranger.header


@rfc("6120", "4.7.2")
async def test_a_client_that_says_who_it_is_is_addressed(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.opens(**{"from": "juliet@capulet.lit"})
    assert stranger.header["to"] == "juliet@capulet.lit"


@rfc("6120", "4.7.3")
async def test_each_stream_has_another_id_and_so_has_each_restart(server: Cluster) -> None:
    ids = []
    for _ in range(3):
        actor = server.actor("juliet@capulet.lit", "R0m30")
        await actor.connects()
        await actor.opens()
        ids.append(actor.header["id"])
        await actor.authenticates()
        await actor.opens()
        ids.append(actor.header["id"])
    assert len(set(ids)) == 6


@rfc("6120", "4.7.4")
async def test_what_a_client_wants_to_read_is_english_here(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.opens(lang="it")
    assert stranger.header["{http://www.w3.org/XML/1998/namespace}lang"] == "en"


@rfc("6120", "4.7.1")
@pytest.mark.parametrize("domain", ["capulet.lit", "montague.lit", "CAPULET.lit"])
async def test_each_domain_speaks_for_itself(stranger: Actor, domain: str) -> None:
    await stranger.connects(direct=False)
    await stranger.opens(domain)
    assert stranger.header["from"] == domain.lower()


@rfc("6120", "4.9.3.6")
@pytest.mark.parametrize("to", ["", "verona.lit", "juliet@capulet.lit", "capulet.lit/r", "@", "x" * 2000])
async def test_a_domain_that_is_not_served_is_unknown(stranger: Actor, to: str) -> None:
    await stranger.connects(direct=False)
    await stranger.sends_header(to)
    await stranger.hears_header()
    assert stranger.header["id"]
    await stranger.is_told("host-unknown")


@rfc("6120", "4.9.3.6")
async def test_a_stream_keeps_its_domain_when_it_is_opened_anew(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.opens()
    await stranger.authenticates()
    await stranger.sends_header("montague.lit")
    await stranger.hears_header()
    await stranger.is_told("host-unknown")


@rfc("6120", "4.7.5", "4.9.3.25")
@pytest.mark.parametrize("version", ["", "0.9", "0", "one"])
async def test_an_older_version_is_not_spoken(stranger: Actor, version: str) -> None:
    await stranger.connects()
    await stranger.sends_header(version=version)
    await stranger.hears_header()
    assert stranger.header["version"] == "1.0"
    await stranger.is_told("unsupported-version")


@rfc("6120", "4.7.5")
@pytest.mark.parametrize("version", ["1.1", "2.0", "1.0"])
async def test_a_newer_version_is_answered_with_ours(stranger: Actor, version: str) -> None:
    await stranger.connects()
    await stranger.opens(version=version)
    assert stranger.header["version"] == "1.0"


@rfc("6120", "4.8.1", "4.8.2", "4.9.3.10")
@pytest.mark.parametrize(
    "header",
    [
        {"content": "jabber:server"},
        {"content": "jabber:iq:roster"},
        {"content": ""},
        {"streams": "http://etherx.jabber.org/wrong"},
    ],
)
async def test_a_stream_in_another_namespace_is_refused(stranger: Actor, header: dict[str, str]) -> None:
    await stranger.connects()
    await stranger.sends_header(None, **header)
    await stranger.hears_header()
    await stranger.is_told("invalid-namespace")


@rfc("6120", "4.8.5")
async def test_a_client_may_choose_its_prefixes(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.sends(
        "<?xml version='1.0'?><s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns:c='jabber:client' to='capulet.lit' version='1.0'>"
    )
    await stranger.hears_features()
    await stranger.authenticates()
    await stranger.opens()
    await stranger.binds()


# ── the errors that one can provoke: on a stream that is not authenticated, and on one that is bound ──

EVERYWHERE: list[tuple[str | bytes, str, str]] = [
    ("<message><body>", "</message>", "not-well-formed"),
    ("<message><a:b/></message>", "", "not-well-formed"),
    ("<message a='1' a='2'/>", "", "not-well-formed"),
    ("<message>&#0;</message>", "", "not-well-formed"),
    ("Wherefore art thou", "<message/>", "bad-format"),
    ("<![CDATA[x]]>", "", "bad-format"),
    ("<!-- a comment -->", "", "restricted-xml"),
    ("<message><!-- a comment --></message>", "", "restricted-xml"),
    ("<?php echo 1 ?>", "", "restricted-xml"),
    ("<message><body>&eacute;</body></message>", "", "restricted-xml"),
    ("<!DOCTYPE html>", "", "not-well-formed"),
    ("<message xmlns='jabber:server'/>", "", "invalid-namespace"),
    ("<iq xmlns='urn:x'/>", "", "invalid-namespace"),
    ("<query xmlns='jabber:iq:roster'/>", "", "unsupported-stanza-type"),
    ("<message-like/>", "", "unsupported-stanza-type"),
    ("<stream:features/>", "", "unsupported-stanza-type"),
    (b"<message><body>\xff\xfe</body></message>", "", "unsupported-encoding"),
    (b"<message><body>\xed\xa0\x80</body></message>", "", "unsupported-encoding"),
    (f"<message><body>{'x' * 300_000}</body></message>", "", "policy-violation"),
    ("<message " + " ".join(f"a{n}='1'" for n in range(100)) + "/>", "", "policy-violation"),
    ("<a>" * 100, "", "policy-violation"),
]


@rfc("6120", "4.9.3.1", "4.9.3.10", "4.9.3.13", "4.9.3.14", "4.9.3.18", "4.9.3.22", "4.9.3.24", "11.1", "11.6")
async def test_what_cannot_be_a_stanza_ends_a_session(server: Cluster) -> None:
    for first, then, condition in EVERYWHERE:
        actor = server.actor("juliet@capulet.lit", "R0m30")
        await actor.logs_in()
        with case(first, then, condition):
            await actor.sends(first)
            await actor.sends(then)
            await actor.is_told(condition)


@rfc("6120", "4.9.3.1", "4.9.3.10", "4.9.3.13", "4.9.3.14", "4.9.3.18", "4.9.3.22", "4.9.3.24", "11.1", "11.6")
async def test_what_cannot_be_a_stanza_ends_the_stream_of_a_stranger(server: Cluster) -> None:
    for first, then, condition in EVERYWHERE:
        stranger = server.actor("juliet@capulet.lit", "R0m30")
        await stranger.connects()
        await stranger.opens()
        with case(first, then, condition):
            await stranger.sends(first)
            await stranger.sends(then)
            await stranger.is_told(condition)


HEADERS = [
    (b"<?xml version='1.0' encoding='ISO-8859-1'?>", "unsupported-encoding"),
    (HEADER.encode("utf-16"), "unsupported-encoding"),
    (HEADER.encode("utf-16-be"), "unsupported-encoding"),
    (HEADER.encode("utf-32-le"), "unsupported-encoding"),
    (b"\xef\xbb\xbf" + HEADER.encode(), "not-well-formed"),
    (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y 'z'>]>", "restricted-xml"),
    (b"<!-- Prologue -->", "restricted-xml"),
    (b"<?verona two households?>", "restricted-xml"),
    (b"<stream xmlns='http://etherx.jabber.org/wrong'>", "invalid-namespace"),
    (b"<x xmlns='http://etherx.jabber.org/streams'>", "bad-format"),
    (b"GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not-well-formed"),
]


@rfc("6120", "4.9.1.2", "4.9.3.22", "11.1", "11.6")
async def test_an_error_before_the_header_stands_in_a_stream_all_the_same(server: Cluster) -> None:
    for data, condition in HEADERS:
        stranger = server.actor("juliet@capulet.lit", "R0m30")
        await stranger.connects(direct=False)
        with case(data, condition):
            await stranger.sends(data)
            await stranger.hears_header()
            assert stranger.header["from"] == "capulet.lit"
            assert stranger.header["id"]
            await stranger.is_told(condition)


@rfc("6120", "11.6")
async def test_an_encoding_that_is_named_rightly_is_fine(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.sends(HEADER.replace("?>", " encoding='utf-8'?>", 1))
    await stranger.hears_features()


@rfc("6120", "4.9.3.12", "7.1")
@pytest.mark.parametrize("stanza", ["<message to='romeo@montague.lit'/>", "<presence/>", "<iq type='get' id='1'><x xmlns='urn:x'/></iq>"])
async def test_a_stanza_before_authentication_ends_the_stream(stranger: Actor, stanza: str) -> None:
    await stranger.connects()
    await stranger.opens()
    await stranger.sends(stanza)
    await stranger.is_told("not-authorized")


@rfc("6120", "4.9.3.9")
async def test_a_client_that_proved_to_be_another_than_it_says_is_told(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.opens()
    await stranger.authenticates()
    await stranger.sends_header(None, **{"from": "nurse@capulet.lit"})
    await stranger.hears_header()
    await stranger.is_told("invalid-from")


@rfc("6120", "4.9.3.4")
@pytest.mark.settings(limits={"unauthenticated_seconds": 0.1})
async def test_who_does_not_log_in_has_to_go(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.opens()
    await stranger.is_told("connection-timeout")


@rfc("6120", "4.9.3.4")
@pytest.mark.settings(limits={"bind_seconds": 0.1})
async def test_who_does_not_bind_has_to_go(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.opens()
    await stranger.authenticates()
    await stranger.opens()
    await stranger.is_told("connection-timeout")


# ── the end ──


@rfc("6120", "4.4")
async def test_a_stream_is_closed_by_both_sides(stranger: Actor) -> None:
    await stranger.logs_in()
    await stranger.closes()


@rfc("6120", "4.4")
async def test_a_stream_that_is_only_opened_is_closed_by_both_sides(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    await stranger.opens()
    await stranger.closes()


@rfc("6120", "4.4")
async def test_what_was_asked_before_the_end_is_answered_before_the_end(stranger: Actor) -> None:
    await stranger.logs_in()
    await stranger.sends("<iq type='get' id='last' to='capulet.lit'><ping xmlns='urn:xmpp:ping'/></iq>")
    await stranger.receives("<iq type='result' id='last' from='capulet.lit'/>")
    await stranger.sends("<message to='romeo@montague.lit' type='headline'/></stream:stream><message/>")
    await stranger.is_closed()


@rfc("6120", "4.9.3.19")
async def test_a_server_that_goes_down_says_so(server: Cluster) -> None:
    bound, opened = server.actor("juliet@capulet.lit", "R0m30"), server.actor("juliet@capulet.lit", "R0m30", gateway=1)
    await bound.logs_in()
    await opened.connects(direct=False)
    await opened.opens()
    end = asyncio.ensure_future(server.shuts_down())
    for actor in (opened, bound):  # each gateway waits until its clients have gone
        await actor.is_told("system-shutdown")
        await actor.vanishes()
    await end


@rfc("6120", "4.9.3.12")
@pytest.mark.parametrize("action", ["disable", "delete"])
async def test_who_loses_the_account_loses_the_sessions(cluster: Cluster, juliet: Actor, nurse: Actor, action: str) -> None:
    phone = cluster.actor("juliet@capulet.lit", "R0m30", gateway=1)
    await phone.logs_in("phone")
    await manage(cluster, action, "juliet@capulet.lit")
    await juliet.is_told("not-authorized")
    await phone.is_told("not-authorized")
    await nurse.receives_nothing()


@rfc("6120", "4.6.1")
async def test_white_space_between_stanzas_keeps_a_stream_alive(stranger: Actor) -> None:
    await stranger.connects()
    await stranger.opens()
    await stranger.sends(" \n\t ")
    await stranger.authenticates()
    await stranger.opens()
    await stranger.binds()
    await stranger.sends(" \n ")
    await stranger.receives_nothing()
