"""Accounts' names and states."""

import pytest

from aldis.core.xmpp.errors.stanza import Conflict, ItemNotFound, JidMalformed, NotAllowed
from aldis.directory.domain.account import Account, Action, State, after, claimed, named, served

DOMAINS = ("capulet.lit", "montague.lit")
JULIET = Account("capulet.lit", "juliet")


@pytest.mark.parametrize(
    ("state", "action", "expected"),
    [
        (State.ABSENT, Action.ADD, State.ACTIVE),
        (State.ACTIVE, Action.PASSWD, State.ACTIVE),
        (State.DISABLED, Action.PASSWD, State.DISABLED),
        (State.ACTIVE, Action.DISABLE, State.DISABLED),
        (State.DISABLED, Action.DISABLE, State.DISABLED),
        (State.DISABLED, Action.ENABLE, State.ACTIVE),
        (State.ACTIVE, Action.ENABLE, State.ACTIVE),
        (State.ACTIVE, Action.DELETE, State.LEAVING),
        (State.DISABLED, Action.DELETE, State.LEAVING),
    ],
)
def test_an_account_goes_through_its_states(state: State, action: Action, expected: State) -> None:
    assert after(state, action, JULIET) is expected


@pytest.mark.parametrize("state", [State.ACTIVE, State.DISABLED, State.LEAVING])
def test_a_name_is_free_only_where_nothing_is_left_of_it(state: State) -> None:
    with pytest.raises(Conflict, match=r"juliet@capulet\.lit"):
        after(state, Action.ADD, JULIET)


@pytest.mark.parametrize("state", [State.ABSENT, State.LEAVING])
@pytest.mark.parametrize("action", [Action.PASSWD, Action.DISABLE, Action.ENABLE, Action.DELETE])
def test_what_is_gone_can_not_be_changed(state: State, action: Action) -> None:
    with pytest.raises(ItemNotFound):
        after(state, action, JULIET)


def test_an_account_is_named_by_its_prepared_bare_jid() -> None:
    assert named("JULIET@Capulet.LIT.", DOMAINS) == JULIET
    assert JULIET.jid == "juliet@capulet.lit"


@pytest.mark.parametrize("text", ["", "capulet.lit", "juliet@capulet.lit/balcony", "@capulet.lit", "a b@capulet.lit"])
def test_what_is_no_bare_jid_names_no_account(text: str) -> None:
    with pytest.raises(JidMalformed):
        named(text, DOMAINS)


def test_a_foreign_domain_is_refused_with_those_that_are_served() -> None:
    with pytest.raises(NotAllowed, match=r"`domains` \(capulet\.lit, montague\.lit\)"):
        named("romeo@verona.lit", DOMAINS)
    with pytest.raises(JidMalformed):
        served("romeo@capulet.lit", DOMAINS)
    assert served("CAPULET.lit", DOMAINS) == "capulet.lit"


@pytest.mark.parametrize(
    ("domain", "username"), [("verona.lit", "juliet"), ("capulet.lit", ""), ("capulet.lit", "a b"), ("\x00", "juliet")]
)
def test_a_claim_that_can_be_nobodys_is_nobodys(domain: str, username: str) -> None:
    assert claimed(domain, username, DOMAINS) is None
    assert claimed("capulet.lit", "Juliet", DOMAINS) == JULIET
