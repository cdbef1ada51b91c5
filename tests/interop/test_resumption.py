"""XEP-0198 with slixmpp: its stanzas are acknowledged, and when its connection breaks it goes on where it was."""

from tests.interop.house import Clients, House


def test_slixmpp_resumes_and_gets_what_was_said_meanwhile_once(house: House, clients: Clients) -> None:
    house.add("benedick@localhost", "Much-Ado-1")
    house.add("beatrice@localhost", "About-Nothing-2")
    benedick = clients.slixmpp("benedick@localhost", "Much-Ado-1", resource="padua", managed=True)
    beatrice = clients.slixmpp("beatrice@localhost", "About-Nothing-2", resource="messina", managed=True)
    for client in (benedick, beatrice):
        client.online()
        assert client.told("sm_enabled")["resumable"]

    for round_ in range(3):
        beatrice.do("message", to=benedick.address, body=f"before {round_}")
        assert benedick.told("message")["body"] == f"before {round_}"
        benedick.do("break")
        benedick.told("disconnected")
        for n in range(5):
            beatrice.do("message", to=benedick.address, body=f"meanwhile {round_}.{n}")
        beatrice.do("ping", jid="localhost")
        benedick.do("connect")
        benedick.told("session_resumed")
        heard = [benedick.told("message")["body"] for _ in range(5)]
        assert heard == [f"meanwhile {round_}.{n}" for n in range(5)]
        benedick.do("message", to=beatrice.address, body=f"back {round_}")
        assert beatrice.told("message")["body"] == f"back {round_}"
    benedick.do("ping", jid="localhost")
    assert benedick.heard("message") == []
    assert benedick.heard("sm_failed") == []
    assert beatrice.heard("presence", type="unavailable") == []

    # What it sent into a connection that was broken already is sent again, and comes once.
    benedick.do("break")
    for n in range(3):
        benedick.do("message", to=beatrice.address, body=f"unheard {n}")
    benedick.told("disconnected")
    benedick.do("connect")
    benedick.told("session_resumed")
    assert [beatrice.told("message")["body"] for _ in range(3)] == [f"unheard {n}" for n in range(3)]
    beatrice.do("ping", jid="localhost")
    assert beatrice.heard("message") == []
