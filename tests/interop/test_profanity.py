"""Profanity beside its user's slixmpp: the roster that both see, requests while it is away, and what this server has not."""

import re

import pytest

from tests.interop.house import Clients, House

pytestmark = pytest.mark.needs("profanity", "tmux")


def test_names_and_groups_that_profanity_gives_its_contacts_are_seen_by_slixmpp(house: House, clients: Clients) -> None:
    house.add("viola@localhost", "Cesario-1")
    other = clients.slixmpp("viola@localhost", "Cesario-1", resource="other")
    other.online()
    viola = clients.profanity("viola@localhost", "Cesario-1")
    viola.shows("logged in successfully")
    viola.type('/roster add olivia@localhost "Gräfin <Olivia>"')
    viola.shows(r"Roster item added: olivia@localhost \(Gräfin <Olivia>\)")
    other.told("pushed", jid="olivia@localhost", name="Gräfin <Olivia>", subscription="none")
    viola.type('/roster group add "Illyrien ☀" "Gräfin <Olivia>"')
    other.told("pushed", jid="olivia@localhost", groups=["Illyrien ☀"])
    viola.type("/roster nick olivia@localhost Livia")
    other.told("pushed", jid="olivia@localhost", name="Livia", groups=["Illyrien ☀"])
    other.do("roster_set", jid="olivia@localhost", name="Liv", groups=["Illyrien ☀", "Haus"])
    viola.lists("Liv", "Offline")
    viola.type("/roster group show Haus")
    viola.shows(r"Haus:\s*\n.*Liv")
    viola.type("/roster remove olivia@localhost")
    other.told("pushed", jid="olivia@localhost", subscription="remove")
    assert other.do("roster") == {}


def test_profanity_is_asked_for_what_came_while_it_was_away(house: House, clients: Clients) -> None:
    house.add("sebastian@localhost", "Messaline-1")
    house.add("antonio@localhost", "Kapitän-2")
    antonio = clients.slixmpp("antonio@localhost", "Kapitän-2", resource="ship")
    antonio.online()
    antonio.do("presence", ptype="subscribe", pto="sebastian@localhost")
    antonio.told("pushed", jid="sebastian@localhost", ask="subscribe")
    sebastian = clients.profanity("sebastian@localhost", "Messaline-1")
    sebastian.shows("Received authorization request from antonio@localhost")
    sebastian.type("/sub deny antonio@localhost")
    antonio.told("presence", type="unsubscribed", sender="sebastian@localhost")
    antonio.told("pushed", jid="sebastian@localhost", ask="", subscription="none")


def test_profanity_lives_with_what_is_not_there(house: House, clients: Clients) -> None:
    house.add("feste@localhost", "Narr-1")
    feste = clients.profanity("feste@localhost", "Narr-1")
    feste.shows("logged in successfully")
    feste.shows("Server error enabling message carbons: service-unavailable")
    for command, answer in {
        "/serversoftware localhost": "Could not get software version: service-unavailable",
        "/lastactivity get localhost": "Last activity request failed for localhost: service-unavailable",
        "/disco info nobody@localhost": "Service discovery failed for nobody@localhost: service-unavailable",
        "/bookmark list": "No bookmarks found",
        "/blocked": "not supported by server",
        "/omemo gen": "OMEMO [a-z]+ materials generated",
        "/mam on": "Message Archive Management enabled",
        "/join room@conference.localhost": "Error from room@conference.localhost/[a-z]+: the domain is not served here",
    }.items():
        feste.type("/win 1")
        feste.type(command)
        feste.shows(answer)
    feste.type("/ping")
    feste.shows("Ping response from")
    feste.shows(r"\[TLS\] +\[online\]")
    assert "Lost connection" not in feste.screen()
    answered = set(re.findall(r'RECV: <iq id="([^"]+)" type="(?:result|error)"', feste.log()))
    asked = set(re.findall(r'SENT: <iq id="([^"]+)"[^>]* type="(?:get|set)"', feste.log()))
    assert asked - answered == set()
