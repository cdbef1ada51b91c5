"""The first story: a fresh server, two new accounts, slixmpp and profanity become contacts, see each other and talk."""

import pytest

from tests.interop.house import Clients, House

pytestmark = pytest.mark.needs("profanity", "tmux")

SLIX = "romeo@localhost/orchard"
PROF = "juliet@localhost/profanity"


def test_slixmpp_and_profanity_add_each_other_see_presence_and_chat(house: House, clients: Clients) -> None:
    house.add("romeo@localhost", "Montague-1")
    house.add("juliet@localhost", "Capulet-2")
    romeo = clients.slixmpp("romeo@localhost", "Montague-1", resource="orchard")
    started = romeo.online()
    juliet = clients.profanity("juliet@localhost", "Capulet-2")
    juliet.shows("juliet@localhost/profanity logged in successfully")
    # Over TLS, by the strongest SCRAM that each has; test_login.py looks closer.
    assert started["verified"]
    assert started["mechanism"].removesuffix("-PLUS") == "SCRAM-SHA-512"
    juliet.logged("Certificate verification passed")
    juliet.logged(r"SASL SCRAM-SHA-512(-PLUS)? auth successful")

    # They become contacts: juliet asks first, romeo approves and asks back (RFC 6121 §3.1).
    juliet.type("/sub request romeo@localhost")
    juliet.shows("Sent subscription request to romeo@localhost")
    romeo.told("presence", type="subscribe", sender="juliet@localhost")
    romeo.do("presence", ptype="subscribed", pto="juliet@localhost")
    juliet.shows("Subscription received from romeo@localhost")
    juliet.lists("romeo@localhost", "Online")
    romeo.do("presence", ptype="subscribe", pto="juliet@localhost")
    juliet.shows("Received authorization request from romeo@localhost")
    juliet.type("/sub allow romeo@localhost")
    juliet.shows("Accepted subscription for romeo@localhost")
    romeo.told("presence", type="subscribed", sender="juliet@localhost")
    romeo.told("presence", type="", sender=PROF)
    romeo.told("pushed", jid="juliet@localhost", subscription="both")
    assert romeo.do("roster")["juliet@localhost"]["subscription"] == "both"

    # They see how the other's status changes.
    juliet.type('/status set away "schläft bis 8 – 💤"')
    romeo.told("presence", sender=PROF, show="away", status="schläft bis 8 – 💤")
    juliet.type("/status set dnd")
    romeo.told("presence", sender=PROF, show="dnd")
    juliet.type("/status set online")
    romeo.told("presence", sender=PROF, show="", type="")
    romeo.do("presence", pshow="xa", pstatus="In Mantua – längere Zeit", ppriority=5)
    juliet.shows(r'\+\+ romeo@localhost \(orchard\) is xa, "In Mantua – längere Zeit"')
    juliet.lists("romeo@localhost", "Extended Away")
    romeo.do("presence")
    juliet.lists("romeo@localhost", "Online")

    # They talk, both ways, and beyond ASCII.
    romeo.do("message", to="juliet@localhost", body="Schöne Grüße, 朱麗葉 & <Julia> 🌹")
    juliet.shows("romeo@localhost")
    juliet.type("/msg romeo@localhost")
    juliet.shows("romeo@localhost/orchard: Schöne Grüße, 朱麗葉 & <Julia> 🌹")
    juliet.type("Ré🌹mi & <Romeo>: „wherefore“?")
    assert romeo.told("message", sender=PROF, type="chat")["body"] == "Ré🌹mi & <Romeo>: „wherefore“?"
    for number in range(20):
        romeo.do("message", to=PROF, body=f"Zeile {number:02}")
    juliet.shows(r"Zeile 19")
    shown = [line.split()[-1] for line in juliet.screen().splitlines() if "Zeile" in line]
    assert shown == [f"{number:02}" for number in range(20)]
    juliet.type("/win 1")

    # They ask what the server is, and whether it is there.
    assert romeo.do("disco", jid="localhost")["identities"] == ["server/im"]
    assert {"urn:xmpp:ping", "jabber:iq:roster"} <= set(romeo.do("disco", jid="localhost")["features"])
    romeo.do("ping", jid="localhost")
    romeo.do("ping", jid=PROF)
    juliet.type("/disco info")
    juliet.shows(r"Service discovery info for localhost")
    juliet.shows(r"Aldis im server")
    juliet.type("/ping")
    juliet.shows(r"Ping response from \S+: \d+ms")
    juliet.type(f"/ping {SLIX}")
    juliet.shows(rf"Ping response from {SLIX}: \d+ms")

    # One goes, and the other sees it; one comes back, and the other sees that.
    romeo.do("disconnect")
    romeo.told("disconnected")
    juliet.lists("romeo@localhost", "Offline")
    juliet.type("/msg romeo@localhost noch da?")
    juliet.shows("romeo@localhost: service-unavailable")  # nothing is kept for those who are away, and she is told so
    juliet.type("/win 1")
    romeo.online()
    juliet.lists("romeo@localhost", "Online")
    romeo.told("presence", sender=PROF, type="")
    juliet.type("/disconnect")
    juliet.shows("juliet@localhost logged out successfully")
    romeo.told("presence", sender=PROF, type="unavailable")
    juliet.type("/connect juliet@localhost")
    romeo.told("presence", sender=PROF, type="")
    juliet.lists("romeo@localhost", "Online")
    romeo.do("abort")  # no farewell at all
    juliet.lists("romeo@localhost", "Offline")
    romeo.told("disconnected")
    romeo.online()
    romeo.told("presence", sender=PROF, type="")
    juliet.close()  # a console that is gone, but might come back: by XEP-0198 it is waited for, and what is said to her is kept
    romeo.do("message", to="juliet@localhost", body="Bist du da?")
    romeo.do("ping", jid="localhost")
    assert not romeo.heard("presence", sender=PROF, type="unavailable")
    assert not romeo.heard("message", type="error")
    juliet = clients.profanity("juliet@localhost", "Capulet-2")  # a new one, which knows nothing of the old one's session
    romeo.told("presence", sender=PROF, type="")
    juliet.lists("romeo@localhost", "Online")
    romeo.told("message", type="error", sender="juliet@localhost")  # what the old one had not got comes back
    juliet.type("/disconnect")
    romeo.told("presence", sender=PROF, type="unavailable")
    assert romeo.do("roster")["juliet@localhost"]["subscription"] == "both"
