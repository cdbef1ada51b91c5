"""The seam of security policy: in every delivery path, one that refuses stops the delivery."""

from typing import Any

PING = "<ping xmlns='urn:xmpp:ping'/>"


async def pair(cluster: Any) -> tuple[Any, Any]:
    romeo = await cluster.client("romeo", "orchard", 0)
    juliet = await cluster.client("juliet", "balcony", 1)
    for user in (romeo, juliet):
        user.sends("presence")
        await user.receives(f"presence - {user.jid}")
    return romeo, juliet


async def nothing_comes(user: Any) -> None:
    """What was under way is there when a ping of one's own server has been answered."""
    user.sends("iq", "get", "example.org", PING, id="barrier")
    await user.receives("iq result example.org")
    assert user.got == []


async def test_a_message_to_a_full_jid_is_stopped_and_its_sender_told(cluster: Any) -> None:
    romeo, juliet = await pair(cluster)
    cluster.policy.refuses = True
    romeo.sends("message", "chat", juliet.jid, "<body>secret</body>")
    await romeo.receives(f"message error {juliet.jid} -> {romeo.jid} <error type='modify'><policy-violation/>")
    await nothing_comes(juliet)


async def test_a_message_to_a_bare_jid_is_stopped_and_its_sender_told(cluster: Any) -> None:
    romeo, juliet = await pair(cluster)
    cluster.policy.refuses = True
    romeo.sends("message", "chat", "juliet@example.org", "<body>secret</body>")
    await romeo.receives(f"message error juliet@example.org -> {romeo.jid} <error type='modify'><policy-violation/>")
    await nothing_comes(juliet)


async def test_an_iq_to_a_session_is_stopped_and_its_sender_told(cluster: Any) -> None:
    romeo, juliet = await pair(cluster)
    cluster.policy.refuses = True
    romeo.sends("iq", "get", juliet.jid, PING)
    await romeo.receives(f"iq error {juliet.jid} -> {romeo.jid} <error type='modify'><policy-violation/>")
    await nothing_comes(juliet)


async def test_directed_presence_is_stopped(cluster: Any) -> None:
    romeo, juliet = await pair(cluster)
    cluster.policy.refuses = True
    romeo.sends("presence", "", juliet.jid)
    await nothing_comes(romeo)
    await nothing_comes(juliet)


async def test_a_subscription_request_is_stopped(cluster: Any) -> None:
    romeo, juliet = await pair(cluster)
    cluster.policy.refuses = True
    romeo.sends("presence", "subscribe", "juliet@example.org")
    await nothing_comes(romeo)
    await nothing_comes(juliet)


async def test_broadcast_presence_is_stopped(cluster: Any) -> None:
    romeo, juliet = await pair(cluster)
    romeo.sends("presence", "subscribe", "juliet@example.org")
    await juliet.receives("presence subscribe romeo@example.org")
    juliet.sends("presence", "subscribed", "romeo@example.org")
    await romeo.receives("presence subscribed", f"presence - {juliet.jid}")
    cluster.policy.refuses = True
    juliet.sends("presence", children="<show>away</show>")
    await juliet.receives(f"presence - {juliet.jid} -> {juliet.jid} <show>away</show>")
    await nothing_comes(romeo)


async def test_a_stanza_that_comes_back_from_an_ended_session_is_stopped_on_its_way_to_another(cluster: Any) -> None:
    romeo, juliet = await pair(cluster)
    second = await cluster.client("juliet", "garden", 0)
    second.sends("presence")
    await second.receives(f"presence - {juliet.jid}")
    juliet.reads_nothing_after = juliet.link.given
    romeo.sends("message", "chat", juliet.jid, "<body>secret</body>")
    await juliet.receives("message chat")
    cluster.policy.refuses = True
    cluster.hubs[1].end(juliet.link)
    await romeo.receives(f"message error {juliet.jid} -> {romeo.jid} <error type='modify'><policy-violation/>")
    assert not any("secret" in line for line in second.got)
