"""Contacts in scenarios: roster patterns, people who see each other (RFC 6121 §3.1), and quiet."""

from aldis.core.testing.actor import Actor
from aldis.core.testing.patterns import difference, parse

ROSTER = "jabber:iq:roster"


def item(
    contact: Actor | str, subscription: str = "none", *, name: str = "", ask: bool = False, approved: bool = False, groups: str = ""
) -> str:
    """Write a roster item; `groups` is its content."""
    jid = contact if isinstance(contact, str) else contact.account
    named = f" name='{name}'" if name else ""
    asked = " ask='subscribe'" if ask else ""
    allowed = " approved='true'" if approved else ""
    return f"<item jid='{jid}'{named} subscription='{subscription}'{asked}{allowed}>{groups}</item>"


def roster(*items: str) -> str:
    return f"<query xmlns='{ROSTER}'>{''.join(items)}</query>"


def push(owner: Actor, what: str) -> str:
    """Write the pattern of a roster push (RFC 6121 §2.1.6)."""
    return f"<iq type='set' id='{{any}}' from='{owner.account}'>{roster(what)}</iq>"


def managed(kind: str, sender: Actor, to: Actor, content: str = "") -> str:
    """Write the pattern of a subscription stanza, which is between bare JIDs (RFC 6121 §3.1.2)."""
    return f"<presence type='{kind}' from='{sender.account}' to='{to.account}'>{content}</presence>"


async def has_roster(owner: Actor, *items: str) -> None:
    """See that the roster is this, in any order."""
    await owner.sends(f"<iq type='get' id='have'>{roster()}</iq>")
    answer = await owner.receives(f"<iq type='result' id='have' from='{owner.account}'><query xmlns='{ROSTER}'>{{any}}</query></iq>")
    found = {entry.get("jid"): entry for entry in answer[0]}
    assert len(found) == len(items) == len(answer[0]), [entry.attrib for entry in answer[0]]
    for written in items:
        wanted = parse(f"<query xmlns='{ROSTER}'>{written}</query>")[0]
        there = found.get(wanted.get("jid"))
        assert there is not None, f"{wanted.get('jid')} is not in the roster"
        assert difference(wanted, there) is None, difference(wanted, there)


async def quiet(*actors: Actor) -> None:
    """See that nothing more comes to any of them, not even what one caused at another and that at the first."""
    for _ in range(2):
        for actor in actors:
            await actor.passes_barrier(alone=False)
    for actor in actors:
        await actor.passes_barrier(alone=True)


async def follows(fan: Actor, star: Actor, before: tuple[str, str] = ("none", "none"), after: tuple[str, str] = ("to", "from")) -> None:
    """Have one subscribe and the other approve; both have appeared, and are each their account's only resource."""
    await fan.sends(f"<presence type='subscribe' to='{star.account}'/>")
    await fan.receives(push(fan, item(star, before[0], ask=True)))
    await star.receives(managed("subscribe", fan, star))
    await star.sends(f"<presence type='subscribed' to='{fan.account}'/>")
    await star.receives(push(star, item(fan, after[1])))
    await fan.receives(managed("subscribed", star, fan))
    await fan.receives(push(fan, item(star, after[0])))
    await fan.receives(f"<presence from='{star.jid}'>{{any}}</presence>")


async def befriend(one: Actor, other: Actor) -> None:
    """Bring both on and have each subscribe to the other."""
    await one.appears()
    await other.appears()
    await follows(one, other)
    await follows(other, one, ("from", "to"), ("both", "both"))
