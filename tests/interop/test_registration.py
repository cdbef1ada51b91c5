"""Real clients make accounts, change passwords and go again by themselves, where the operator allows it (XEP-0077)."""

from collections.abc import Iterator

import pytest

from tests.interop.house import Clients, House
from tests.interop.slix import Refused


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server where strangers may make accounts."""
    with House(tmp_path_factory.mktemp("interop") / "open", "[registration]\nenabled = true\n").open() as house:
        yield house


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_slixmpp_registers_logs_in_changes_its_password_and_leaves(house: House, clients: Clients, direct: bool) -> None:
    jid = f"rosaline{direct:d}@localhost"
    client = clients.slixmpp(jid, "first-Pässword", register=True, direct=direct)
    client.do("connect")
    client.told("registered")
    client.told("started")
    assert jid in house.aldis("user", "list").stdout

    client.do("change_password", password="second-Pässword")
    client.do("disconnect")
    client.told("disconnected")
    old = clients.slixmpp(jid, "first-Pässword")
    old.do("connect")
    assert old.told("failed_auth")["condition"] == "not-authorized"
    new = clients.slixmpp(jid, "second-Pässword")
    new.login()

    try:
        new.do("unregister")
    except Refused as refused:
        pytest.fail(f"not let go: {refused}")
    new.told("disconnected")
    assert jid not in house.aldis("user", "list").stdout
    new.do("connect")
    assert new.told("failed_auth")["condition"] == "not-authorized"


def test_slixmpp_can_not_register_a_name_that_somebody_has(house: House, clients: Clients) -> None:
    house.add("paris@localhost", "County-1")
    client = clients.slixmpp("paris@localhost", "another", register=True)
    client.do("connect")
    assert client.told("registration_refused")["condition"] == "conflict"
    client.told("disconnected")


@pytest.mark.needs("profanity", "tmux")
def test_profanity_changes_its_password(house: House, clients: Clients) -> None:
    house.add("helena@localhost", "before-1")
    client = clients.profanity("helena@localhost", "before-1")
    client.shows("logged in successfully")
    client.type("/changepassword")
    client.shows("Enter password:")
    client.type("after-Ü2")
    client.shows("Confirm password:")
    client.type("after-Ü2")
    client.shows("Password successfully changed")
    clients.slixmpp("helena@localhost", "after-Ü2").login()


@pytest.mark.needs("profanity", "tmux")
def test_profanity_registers(house: House, clients: Clients) -> None:
    house.add("orsino@localhost", "before-1")
    client = clients.profanity("orsino@localhost", "before-1")
    client.shows("logged in successfully")
    client.type("/disconnect")
    client.shows("logged out successfully")
    client.type(f"/register cesario localhost port {house.port} tls force")
    client.shows("Enter password:")
    client.type("Viola-Ü2")
    client.shows("Confirm password:")
    client.type("Viola-Ü2")
    client.shows("Registration successful")
    clients.slixmpp("cesario@localhost", "Viola-Ü2").login()
