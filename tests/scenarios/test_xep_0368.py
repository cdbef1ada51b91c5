"""XEP-0368: a port whose connections begin with TLS."""

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import xep
from aldis.core.testing.cluster import Cluster
from aldis.core.testing.wire import TcpWire, trusting


@xep("0368", "3")
async def test_a_stream_within_tls_from_the_beginning_offers_no_starttls(stranger: Actor) -> None:
    await stranger.connects(direct=True)
    features = await stranger.opens()
    assert [child.tag.rpartition("}")[2] for child in features] == ["sasl-channel-binding", "mechanisms"]
    await stranger.authenticates()
    await stranger.opens()
    await stranger.binds()
    await stranger.receives_nothing()


@xep("0368", "3")
@pytest.mark.parametrize(("offered", "chosen"), [(("xmpp-client",), "xmpp-client"), (("h2", "xmpp-client"), "xmpp-client"), ((), None)])
async def test_the_protocol_is_agreed_on_by_alpn(server: Cluster, certificate: str, offered: tuple[str, ...], chosen: str | None) -> None:
    context = trusting(certificate, alpn=offered)
    wire = TcpWire(context)
    actor = server.actor("juliet@capulet.lit", "R0m30", wire=lambda: wire)
    await actor.connects()
    assert wire.alpn == chosen
    await actor.opens()


@xep("0368", "3")
async def test_a_client_of_another_protocol_gets_no_connection(server: Cluster, certificate: str) -> None:
    context = trusting(certificate, alpn=("h2", "http/1.1"))
    actor = server.actor("juliet@capulet.lit", "R0m30", wire=lambda: TcpWire(context))
    with pytest.raises(OSError, match=r"(?i)alert|protocol"):
        await actor.connects()


@xep("0368", "3")
async def test_a_stream_in_clear_on_the_port_for_tls_is_cut(stranger: Actor) -> None:
    await stranger.reaches(stranger.doors.tls_port)
    await stranger.sends("<?xml version='1.0'?><stream:stream to='capulet.lit'>")
    await stranger.is_cut()
