"""The router behind real gateways' hubs, calm and with the bus's faults: no stanza lost, repeated or reordered."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aldis.core.bus.faults import Death, Faults
from aldis.core.bus.names import router_queue
from aldis.core.contracts.accounts import AccountDisabled
from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.sessions import FromSession
from aldis.core.service.clock import SystemClock
from aldis.core.shards.slots import shard_of
from aldis.router.domain.roster import Roster
from aldis.router.store import Store
from tests.integration.router.conftest import Client, Cluster

ROSTER = "<query xmlns='jabber:iq:roster'/>"


async def test_two_users_subscribe_and_see_each_other(cluster: Any) -> None:
    romeo = await cluster.client("romeo", "orchard", 0)
    juliet = await cluster.client("juliet", "balcony", 1)
    for user in (romeo, juliet):
        user.sends("iq", "get", children=ROSTER)
        await user.receives("iq result")
        user.sends("presence")
        await user.receives(f"presence - {user.jid}")
    romeo.sends("presence", "subscribe", "juliet@example.org")
    await romeo.receives("iq set romeo@example.org")
    await juliet.receives("presence subscribe romeo@example.org -> ")
    juliet.sends("presence", "subscribed", "romeo@example.org")
    await juliet.receives("iq set juliet@example.org")
    await romeo.receives("presence subscribed juliet@example.org", "iq set", f"presence - {juliet.jid} -> ")
    juliet.sends("presence", "subscribe", "romeo@example.org")
    await romeo.receives("presence subscribe juliet@example.org")
    romeo.sends("presence", "subscribed", "juliet@example.org")
    await juliet.receives(f"presence - {romeo.jid} -> {juliet.jid}")
    romeo.sends("presence", children="<show>away</show>")
    await juliet.receives(f"presence - {romeo.jid} -> {juliet.jid} <show>away</show>")
    cluster.hubs[0].end(romeo.link)
    await juliet.receives(f"presence unavailable {romeo.jid} -> {juliet.jid}")
    await asyncio.sleep(0.02)
    assert juliet.got == []


async def test_messages_arrive_once_and_in_order(cluster: Any) -> None:
    users = [await cluster.client(name, "r", n % 2) for n, name in enumerate(("a", "b", "c", "d"))]
    for user in users:
        user.sends("presence")
        await user.receives(f"presence - {user.jid}")
    for n in range(60):
        for user in users:
            for other in users:
                if other is not user:
                    user.sends("message", "chat", other.jid, f"<body>{n}</body>")
        await asyncio.sleep(0)
    for user in users:
        await user.until(lambda user=user: len(user.got) >= 60 * 3)
        await asyncio.sleep(0)
        for other in users:
            if other is not user:
                bodies = [line for line in user.got if f" {other.jid} ->" in line]
                assert bodies == [f"message chat {other.jid} -> {user.jid} <body>{n}</body>" for n in range(60)]
    await asyncio.sleep(0.02)
    assert all(len(user.got) == 180 for user in users)


async def test_a_message_to_nobody_comes_back_once(cluster: Any) -> None:
    romeo = await cluster.client("romeo", "orchard")
    romeo.sends("message", "chat", "nobody@example.org", "<body>?</body>")
    await romeo.receives("message error nobody@example.org -> ")
    romeo.sends("message", "chat", "x@elsewhere.example", "<body>?</body>")
    await romeo.receives("message error x@elsewhere.example -> ")
    await asyncio.sleep(0.02)
    assert romeo.got == []


async def test_a_second_client_takes_the_resource(cluster: Any) -> None:
    first = await cluster.client("romeo", "orchard", 0)
    second = await cluster.client("romeo", "orchard", 1)
    assert second.jid == first.jid == "romeo@example.org/orchard"
    await first.until(lambda: first.closed)
    assert first.closed == "conflict"
    second.sends("presence")
    await second.receives(f"presence - {second.jid}")


async def test_what_a_dead_session_did_not_get_goes_back(cluster: Any) -> None:
    romeo = await cluster.client("romeo", "orchard", 0)
    juliet = await cluster.client("juliet", "balcony", 1)
    juliet.reads_nothing_after = juliet.link.given
    romeo.sends("message", "chat", juliet.jid, "<body>1</body>")
    await juliet.receives("message chat")
    cluster.hubs[1].end(juliet.link)
    await romeo.receives(f"message error {juliet.jid} -> {romeo.jid}")
    romeo.sends("iq", "get", juliet.jid, "<ping xmlns='urn:xmpp:ping'/>")
    await romeo.receives(f"iq error {juliet.jid}")
    await asyncio.sleep(0.02)
    assert romeo.got == []


async def test_roster_items_are_set_pushed_and_removed(cluster: Any) -> None:
    desk = await cluster.client("romeo", "desk", 0)
    phone = await cluster.client("romeo", "phone", 1)
    for session in (desk, phone):
        session.sends("iq", "get", children=ROSTER)
        await session.receives("iq result")
    desk.sends("iq", "set", children="<query xmlns='jabber:iq:roster'><item jid='juliet@example.org' name='J'/></query>")
    for session in (desk, phone):
        await session.receives("iq set romeo@example.org -> " + session.jid)
    desk.sends("iq", "set", children="<query xmlns='jabber:iq:roster'><item jid='juliet@example.org' subscription='remove'/></query>")
    await phone.receives("iq set romeo@example.org -> " + phone.jid + " <query><item jid='juliet@example.org' subscription='remove'/>")
    desk.sends("iq", "get", children=ROSTER, id="r3")
    await desk.until(lambda: any("<query></query>" in line for line in desk.got))
    desk.got.clear()
    await asyncio.sleep(0.02)
    assert desk.got == []


async def test_disco_names_what_is_there(cluster: Any) -> None:
    romeo = await cluster.client("romeo", "orchard")
    romeo.sends("iq", "get", "example.org", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    await romeo.until(lambda: romeo.got)
    assert "urn:xmpp:ping" in romeo.got[0]
    romeo.got.clear()
    romeo.sends("iq", "get", "example.org", "<query xmlns='urn:nothing'/>")
    await romeo.receives("iq error example.org -> " + romeo.jid)
    romeo.sends("iq", "get", "juliet@example.org", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    await romeo.receives("iq error juliet@example.org -> " + romeo.jid)


async def test_a_valid_first_presence_after_a_refused_one_brings_what_a_first_one_does(cluster: Any) -> None:
    romeo = await cluster.client("romeo", "orchard", 0)
    juliet = await cluster.client("juliet", "balcony", 1)
    for user in (romeo, juliet):
        user.sends("presence")
        await user.receives(f"presence - {user.jid}")
    romeo.sends("presence", "subscribe", "juliet@example.org")
    await juliet.receives("presence subscribe")
    juliet.sends("presence", "subscribed", "romeo@example.org")
    await romeo.receives(f"presence - {juliet.jid}")
    second = await cluster.client("romeo", "garden", 1)
    second.sends("presence", children="<priority>200</priority>")
    await second.receives("presence error")
    second.sends("presence")
    await second.receives(f"presence - {juliet.jid} -> {second.jid}")


async def test_who_authenticated_before_the_account_went_gets_no_resource(cluster: Any) -> None:
    before = SystemClock.time()
    bus = cluster.broker.buses[0]
    origin = Origin("directory 1", 1)
    bus.publish(
        router_queue(shard_of("romeo@example.org", cluster.shards)),
        AccountDisabled(origin=origin, account="romeo@example.org", at=SystemClock.time()),
    )
    cluster.disabled.add("romeo@example.org")
    await asyncio.sleep(0.05)
    late = await cluster.client("romeo", "orchard", 0, since=before)
    assert b"<not-authorized" in late.refused
    cluster.disabled.clear()
    again = await cluster.client("romeo", "orchard", 0)
    assert again.jid == "romeo@example.org/orchard"


async def test_what_waits_for_a_resource_comes_after_the_answer_that_gives_it(cluster: Any) -> None:
    phone = await cluster.client("romeo", "phone", 0)
    juliet = await cluster.client("juliet", "balcony", 1)
    phone.sends("iq", "set", children="<query xmlns='jabber:iq:roster'><item jid='nurse@example.org'/></query>")
    heir = Client(cluster.hubs[1], "romeo@example.org", SystemClock.time())
    cluster.hubs[1].bind(heir.link, "phone")
    for n in range(5):
        juliet.sends("message", "chat", "romeo@example.org/phone", f"<body>{n}</body>")
    await heir.until(lambda: heir.jid)
    assert heir.before_bound == []


async def test_a_shard_that_stands_still_is_found_out_and_one_that_works_is_not(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    romeo = await cluster.client("romeo", "orchard", 0)
    gate = asyncio.Event()
    reads = Store.roster

    async def slow(store: Store, account: str) -> Roster:
        await gate.wait()
        return await reads(store, account)

    monkeypatch.setattr(Store, "roster", slow)
    romeo.sends("presence")
    runners = [router.runner for router in cluster.routers]
    before: list[dict[int, tuple[int, int]]] = [{}, {}]
    async with asyncio.timeout(5):
        while not any(before):
            await asyncio.sleep(0.01)
            before = [runner.working() for runner in runners]
    standing = [runner.standing(earlier) for runner, earlier in zip(runners, before, strict=True)]
    assert any(standing) or cluster.faults is not None
    gate.set()
    await romeo.receives(f"presence - {romeo.jid}")
    async with asyncio.timeout(5):
        while [runner.standing(earlier) for runner, earlier in zip(runners, before, strict=True)] != [{}, {}]:
            await asyncio.sleep(0.01)


async def test_a_new_owner_takes_nothing_once_more_that_was_done_before_it(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, seed=1, shards=1)
    assert cluster.faults is not None
    cluster.faults.repeat = cluster.faults.delay = cluster.faults.die = cluster.faults.move = 0.0
    async with cluster.running(routers=2, hubs=1):
        romeo = await cluster.client("romeo", "orchard")
        romeo.sends("presence")
        await romeo.receives(f"presence - {romeo.jid}")
        gone = await cluster.client("romeo", "tomb")
        gone.sends("message", "chat", romeo.jid, "<body>once</body>")
        await romeo.receives("message chat")
        late = [
            FromSession(generation=1, stanza=Envelope(kind, "", "i", user.jid, to, b"<body>once</body>", (), Origin(user.link.id, 2)))
            for kind, user, to in ((Kind.PRESENCE, romeo, ""), (Kind.MESSAGE, gone, romeo.jid))
        ]
        gone.close("", "")
        await asyncio.sleep(0.05)
        first, second = (router.runner for router in cluster.routers)
        assert first is not None
        assert second is not None
        await first.release(0, second.me)
        heir = await cluster.client("romeo", "garden")
        heir.sends("presence")
        await heir.receives(f"presence - {heir.jid}", f"presence - {romeo.jid}")
        romeo.got.clear()
        for repeat in late:
            cluster.hubs[0]._bus.publish(router_queue(0), repeat)
        romeo.sends("message", "chat", heir.jid, "<body>all</body>")
        await heir.until(lambda: any("all" in line for line in heir.got))
        assert (romeo.got, len(heir.got)) == ([], 1)


@pytest.mark.parametrize("moment", [Death.AFTER, Death.WITHIN])
async def test_two_resources_that_come_while_the_owner_dies_see_each_other_once(
    tmp_path: Path, moment: Death, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, seed=1, shards=1)
    faults = cluster.faults
    assert faults is not None
    faults.repeat = faults.delay = faults.die = faults.move = 0.0
    async with cluster.running(routers=2, hubs=1):
        clients = [await cluster.client("romeo", resource) for resource in ("orchard", "garden")]
        for client in clients:
            client.sends("iq", "get", children=ROSTER)
            await client.receives("iq result")
        deaths = [moment]
        monkeypatch.setattr(Faults, "death", lambda *_: deaths.pop() if deaths else None)
        monkeypatch.setattr(Faults, "survivors", lambda _: 5)
        for client in clients:
            client.sends("presence")
        for client in clients:
            await client.until(lambda client=client: len(client.got) >= 2)
        await asyncio.sleep(0.1)
        assert not deaths
        both = sorted(f"presence - {client.jid}" for client in clients)
        assert [sorted(line.partition(" -> ")[0] for line in client.got) for client in clients] == [both, both]
