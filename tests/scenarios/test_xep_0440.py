"""XEP-0440: the types of channel binding that a connection has are named beside the mechanisms."""

from collections.abc import Callable

import pytest
from OpenSSL import SSL

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import xep
from aldis.core.testing.patterns import Element


def named(features: Element) -> list[str | None]:
    return [element.get("type") for element in features.iter("{urn:xmpp:sasl-cb:0}channel-binding")]


@xep("0440", "3")
@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
@pytest.mark.parametrize("direct", [True, False])
async def test_the_types_that_are_named_are_those_that_there_are(
    binding_client: Callable[[int], Actor], version: int, direct: bool
) -> None:
    actor = binding_client(version)
    await actor.connects(direct=direct)
    if not direct:
        assert named(await actor.opens()) == []
        await actor.starts_tls()
    features = await actor.opens()
    assert set(named(features)) == set(actor.bindings())
    assert "tls-server-end-point" in named(features)  # XEP-0440 §4: everybody can compute it


@xep("0440", "3")
@pytest.mark.settings(c2s={"host": "127.0.0.1", "require_tls": False})
async def test_without_tls_there_is_nothing_to_name(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    assert named(await stranger.opens()) == []


@xep("0440", "3")
async def test_after_the_login_there_is_nothing_to_name(stranger: Actor) -> None:
    await stranger.connects()
    assert named(await stranger.opens()) != []
    await stranger.authenticates()
    assert named(await stranger.opens()) == []
