"""Two slixmpp clients, or one user's two: resources, rosters, and what is said to those who are away."""

from itertools import count

import pytest

from tests.interop.house import Clients, House
from tests.interop.slix import Refused, Slixmpp

NUMBERS = count(1)
PASSWORD = "hunter-2-hunter"


@pytest.fixture
def names(house: House) -> tuple[str, str]:
    """Two accounts that nobody used yet."""
    number = next(NUMBERS)
    both = f"tybalt{number}@localhost", f"benvolio{number}@localhost"
    for jid in both:
        house.add(jid, PASSWORD)
    return both


def befriend(one: Slixmpp, other: Slixmpp) -> None:
    """Let each see the other's presence."""
    for asking, asked in ((one, other), (other, one)):
        asking.do("presence", ptype="subscribe", pto=asked.jid)
        asked.told("presence", type="subscribe", sender=asking.jid)
        asked.do("presence", ptype="subscribed", pto=asking.jid)
        asking.told("presence", type="subscribed", sender=asked.jid)
    one.told("pushed", jid=other.jid, subscription="both")
    other.told("pushed", jid=one.jid, subscription="both")


def test_a_second_client_on_the_same_resource_takes_it_over(clients: Clients, names: tuple[str, str]) -> None:
    jid, friend = names
    old, watcher = clients.slixmpp(jid, PASSWORD, resource="desk"), clients.slixmpp(friend, PASSWORD, resource="w")
    old.online()
    watcher.online()
    befriend(old, watcher)
    new = clients.slixmpp(jid, PASSWORD, resource="desk")
    assert new.login()["jid"] == f"{jid}/desk"
    assert old.told("stream_error")["condition"] == "conflict"
    old.told("disconnected")
    watcher.told("presence", sender=f"{jid}/desk", type="unavailable")
    new.do("presence", pstatus="moved")
    watcher.told("presence", sender=f"{jid}/desk", type="", status="moved")
    watcher.do("message", to=f"{jid}/desk", body="to whoever sits there")
    assert new.told("message")["body"] == "to whoever sits there"


def test_two_resources_of_one_user_see_each_other_and_the_higher_priority_is_talked_to(clients: Clients, names: tuple[str, str]) -> None:
    jid, friend = names
    desk, phone = clients.slixmpp(jid, PASSWORD, resource="desk"), clients.slixmpp(jid, PASSWORD, resource="phone")
    other = clients.slixmpp(friend, PASSWORD, resource="o")
    desk.online()
    phone.online()
    desk.told("presence", sender=f"{jid}/phone", type="")
    phone.told("presence", sender=f"{jid}/desk", type="")
    other.online()
    befriend(desk, other)
    phone.told("pushed", jid=friend, subscription="both")
    other.told("presence", sender=f"{jid}/desk", type="")
    other.told("presence", sender=f"{jid}/phone", type="")

    desk.do("presence", ppriority=1)
    phone.do("presence", ppriority=10)
    other.told("presence", sender=f"{jid}/phone", priority=10)
    other.do("message", to=jid, body="to the phone")
    assert phone.told("message")["body"] == "to the phone"
    other.do("message", to=f"{jid}/desk", body="to the desk")
    assert desk.told("message")["body"] == "to the desk"  # the first one would have come before, in order
    assert not phone.heard("message", body="to the desk")

    phone.do("presence", ppriority=-1)
    other.told("presence", sender=f"{jid}/phone", priority=-1)
    other.do("message", to=jid, body="not to the phone")
    assert desk.told("message")["body"] == "not to the phone"
    phone.do("ping", jid="localhost")
    assert not phone.heard("message")

    phone.do("disconnect")
    desk.told("presence", sender=f"{jid}/phone", type="unavailable")
    other.told("presence", sender=f"{jid}/phone", type="unavailable")
    other.do("ping", jid="localhost")
    assert not other.heard("presence", sender=f"{jid}/desk", type="unavailable")


def test_names_and_groups_of_contacts_are_kept_and_pushed_to_every_client(clients: Clients, names: tuple[str, str]) -> None:
    jid, friend = names
    desk, phone = clients.slixmpp(jid, PASSWORD, resource="desk"), clients.slixmpp(jid, PASSWORD, resource="phone")
    desk.online()
    phone.online()
    desk.do("roster_set", jid=friend, name="Bänvolio & <Söhne>", groups=["Freunde", "Vetter 🗡"])
    item = {"name": "Bänvolio & <Söhne>", "subscription": "none", "ask": "", "groups": ["Freunde", "Vetter 🗡"]}
    desk.told("pushed", jid=friend, **item)
    phone.told("pushed", jid=friend, **item)
    phone.do("roster_set", jid=friend, name="Ben", groups=[])
    desk.told("pushed", jid=friend, name="Ben", groups=[])
    desk.do("disconnect")
    desk.told("disconnected")
    desk.login()
    assert desk.do("roster") == {friend: {"name": "Ben", "subscription": "none", "ask": "", "groups": []}}


def test_a_contact_that_is_removed_sees_nothing_more(clients: Clients, names: tuple[str, str]) -> None:
    jid, friend = names
    one, other = clients.slixmpp(jid, PASSWORD, resource="a"), clients.slixmpp(friend, PASSWORD, resource="b")
    one.online()
    other.online()
    befriend(one, other)
    other.told("presence", sender=f"{jid}/a", type="")
    one.do("roster_remove", jid=friend)
    one.told("pushed", jid=friend, subscription="remove")
    other.told("presence", type="unsubscribe", sender=jid)
    other.told("presence", type="unsubscribed", sender=jid)
    other.told("presence", type="unavailable", sender=f"{jid}/a")
    other.told("pushed", jid=jid, subscription="none")
    one.told("presence", type="unavailable", sender=f"{friend}/b")
    assert one.do("roster") == {}
    assert other.do("roster")[jid]["subscription"] == "none"
    one.do("presence", pshow="away")
    one.told("presence", sender=f"{jid}/a", show="away")
    other.do("ping", jid="localhost")
    assert not other.heard("presence", sender=f"{jid}/a", show="away")


def test_who_asks_somebody_away_is_answered_when_they_are_back(clients: Clients, names: tuple[str, str]) -> None:
    jid, friend = names
    one, other = clients.slixmpp(jid, PASSWORD, resource="a"), clients.slixmpp(friend, PASSWORD, resource="b")
    one.online()
    one.do("presence", ptype="subscribe", pto=friend)
    one.told("pushed", jid=friend, subscription="none", ask="subscribe")
    other.online()
    other.told("presence", type="subscribe", sender=jid)
    other.do("presence", ptype="unsubscribed", pto=jid)
    one.told("presence", type="unsubscribed", sender=friend)
    one.told("pushed", jid=friend, subscription="none", ask="")


def test_what_can_not_be_delivered_comes_back_as_an_error(clients: Clients, names: tuple[str, str]) -> None:
    jid, friend = names
    one = clients.slixmpp(jid, PASSWORD)
    one.online()
    for to in (friend, f"{friend}/nowhere", "nobody-at-all@localhost"):
        one.do("message", to=to, body="hello?")
        told = one.told("message", type="error", sender=to)
        assert told["error"] == "service-unavailable"  # the same for who is away and who does not exist
    with pytest.raises(Refused, match="service-unavailable"):
        one.do("ping", jid=f"{friend}/nowhere")
    with pytest.raises(Refused, match="service-unavailable"):
        one.do("disco", jid="nobody-at-all@localhost")


def test_a_disabled_account_is_thrown_out_and_let_in_no_more(house: House, clients: Clients, names: tuple[str, str]) -> None:
    jid, _ = names
    client = clients.slixmpp(jid, PASSWORD)
    client.online()
    house.aldis("user", "disable", jid)
    assert client.told("stream_error")["condition"] == "not-authorized"
    client.told("disconnected")
    client.do("connect")
    assert client.told("failed_auth")["condition"] == "account-disabled"
