"""XEP-0198 §5 when processes die: sessions go on elsewhere, and every stanza comes once and in order."""

import asyncio

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import xep
from aldis.core.testing.cluster import Cluster
from tests.scenarios.conftest import Enter
from tests.scenarios.test_xep_0198 import STANZAS, from_, message

pytestmark = pytest.mark.deaths


@xep("0198", "5")
async def test_a_session_outlives_its_gateway(juliet: Actor, romeo: Actor, cluster: Cluster) -> None:
    await juliet.enables()
    await juliet.sends(message(romeo, "one"))
    await romeo.receives(from_(juliet, "one"))
    await juliet.is_acknowledged()
    for body in ("two", "three"):
        await romeo.sends(message(juliet, body))
    await juliet.receives(from_(romeo, "two"))
    juliet.mute = True
    await juliet.receives(from_(romeo, "three"))
    juliet.counting.h = 1  # three was lost on the way
    await cluster.kills_gateway(0)
    await romeo.sends(message(juliet, "four"))
    await romeo.receives_nothing()
    await juliet.resumes(cluster.doors[1])
    await juliet.receives(from_(romeo, "three"))
    await juliet.receives(from_(romeo, "four"))
    await juliet.sends(message(romeo, "five"))
    await romeo.receives(from_(juliet, "five"))
    await juliet.is_acknowledged()
    await juliet.receives_nothing()


@xep("0198", "5")
async def test_a_session_outlives_the_orderly_end_of_its_gateway(juliet: Actor, romeo: Actor, nurse: Actor, cluster: Cluster) -> None:
    await juliet.appears()
    await juliet.enables()
    await juliet.sends(f"<presence to='{nurse.jid}'/>" + message(romeo, "one"))
    await nurse.receives(f"<presence from='{juliet.jid}'/>")
    await romeo.receives(from_(juliet, "one"))
    await juliet.is_acknowledged()
    await romeo.sends(message(juliet, "two"))
    await juliet.receives(from_(romeo, "two"))
    juliet.counting.h = 0  # it was lost on the way
    await cluster.stops_gateway(0)
    await juliet.is_told("system-shutdown")
    await romeo.sends(message(juliet, "three"))
    await romeo.receives_nothing()
    await juliet.resumes(cluster.doors[1])
    for body in ("two", "three"):
        await juliet.receives(from_(romeo, body))
    await nurse.receives_nothing()
    await juliet.receives_nothing()


@xep("0198", "5")
async def test_a_session_outlives_its_gateway_and_then_its_owner(juliet: Actor, romeo: Actor, cluster: Cluster) -> None:
    juliet.mute = True
    await juliet.enables()
    await juliet.sends(message(romeo, "one"))
    await juliet.is_acknowledged()
    await romeo.receives(from_(juliet, "one"))
    await romeo.sends(message(juliet, "two"))
    await juliet.receives(from_(romeo, "two"))
    juliet.counting.h = 0
    await cluster.kills_gateway(0)
    await romeo.sends(message(juliet, "three"))
    await romeo.sends(message(juliet, "four"))
    await romeo.receives_nothing()
    await cluster.kills_owner(juliet.account)
    await romeo.sends(message(juliet, "five"))
    await romeo.receives_nothing()
    await juliet.resumes(cluster.doors[1])
    assert juliet.counting.acked == 1
    for body in ("two", "three", "four", "five"):
        await juliet.receives(from_(romeo, body))
    await juliet.sends(message(romeo, "six"))
    await romeo.receives(from_(juliet, "six"))
    await juliet.is_acknowledged()
    await juliet.receives_nothing()


@xep("0198", "5")
async def test_the_owner_dies_with_stanzas_that_the_client_has_not_got(juliet: Actor, romeo: Actor, cluster: Cluster) -> None:
    juliet.mute = True
    await juliet.enables()
    for number in range(10):
        await romeo.sends(message(juliet, str(number)))
        await juliet.receives(from_(romeo, str(number)))
    juliet.counting.h = 4
    await juliet.vanishes()
    await cluster.kills_owner(juliet.account)
    await romeo.sends(message(juliet, "10"))
    await romeo.receives_nothing()
    await juliet.resumes(cluster.doors[1])
    for number in range(4, 11):
        await juliet.receives(from_(romeo, str(number)))
    await juliet.receives_nothing()


@xep("0198", "5")
@pytest.mark.settings(sm={"resume_seconds": 2})
async def test_nobody_comes_back_after_the_gateways_death(juliet: Actor, romeo: Actor, nurse: Actor, cluster: Cluster) -> None:
    await juliet.enables()
    await juliet.sends(f"<presence to='{nurse.jid}'/>")
    await nurse.receives(f"<presence from='{juliet.jid}'/>")
    await cluster.kills_gateway(0)
    await romeo.sends(message(juliet, "Are you there?"))
    await nurse.receives(f"<presence from='{juliet.jid}' type='unavailable'/>")
    await romeo.receives(
        f"<message from='{juliet.jid}' type='error'><error type='cancel'><service-unavailable xmlns='{STANZAS}'/></error></message>"
    )
    assert await juliet.fails_to_resume(cluster.doors[1]) in (None, 1)


async def test_who_can_not_be_resumed_goes_with_the_gateway(juliet: Actor, nurse: Actor, cluster: Cluster) -> None:
    await juliet.sends(f"<presence to='{nurse.jid}'/>")
    await nurse.receives(f"<presence from='{juliet.jid}'/>")
    await cluster.kills_gateway(0)
    await nurse.receives(f"<presence from='{juliet.jid}' type='unavailable'/>")


async def test_nobody_stays_online_whose_gateway_died_with_the_owner(juliet: Actor, nurse: Actor, cluster: Cluster, enter: Enter) -> None:
    await juliet.sends(f"<presence to='{nurse.jid}'/>")
    await nurse.receives(f"<presence from='{juliet.jid}'/>")
    await asyncio.sleep(1.0)  # rows are written behind
    await cluster.kills_gateway(0, alone=False)
    await cluster.kills_owner(juliet.account)
    await nurse.receives(f"<presence from='{juliet.jid}' type='unavailable'/>")
    again = await enter(juliet.account, "balcony", gateway=1)
    await again.receives_nothing()


@xep("0198", "5")
async def test_a_resource_can_be_taken_from_who_waits(juliet: Actor, romeo: Actor, cluster: Cluster, enter: Enter) -> None:
    await juliet.enables()
    await cluster.kills_gateway(0)
    await romeo.sends(message(juliet, "for whoever is there"))
    again = await enter(juliet.account, "balcony", gateway=1)
    await again.sends("<presence/>")
    await again.receives_in_any_order(f"<presence from='{again.jid}'/>", from_(romeo, "for whoever is there"))
    assert await juliet.fails_to_resume(cluster.doors[1]) in (None, 0)
