"""XEP-0077 by its text, for those who are registered."""

from typing import TYPE_CHECKING

import pytest
from lxml import etree

from aldis.core.contracts.accounts import AccountDeleted, AccountExists
from aldis.core.contracts.services import IqResult
from aldis.directory.settings import Registration

if TYPE_CHECKING:
    from tests.integration.directory.conftest import Town

REGISTER = "{jabber:iq:register}"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
CHANGE = "<username>juliet</username><password>Paris</password>"


def query(fields: str) -> str:
    return f"<query xmlns='jabber:iq:register'>{fields}</query>"


def error(result: IqResult) -> tuple[str, str | None, str | None]:
    """The condition, type and old code of an error."""
    assert not result.payload
    element = etree.fromstring(result.error)
    return element[0].tag.removeprefix(STANZAS), element.get("type"), element.get("code")


@pytest.mark.parametrize("to", ["capulet.lit", "", "juliet@capulet.lit"])
async def test_a_user_sees_that_and_as_whom_he_is_registered(town: "Town", to: str) -> None:  # §3.1
    answer = etree.fromstring((await town.iq("get", query(""), to=to)).payload)
    assert [child.tag.removeprefix(REGISTER) for child in answer] == ["registered", "instructions", "username", "password"]
    assert answer.findtext(f"{REGISTER}username") == "juliet"
    assert not answer.findtext(f"{REGISTER}password")


async def test_a_user_changes_the_password(town: "Town") -> None:  # §3.3
    assert await town.iq("set", query(CHANGE)) == IqResult()
    assert await town.lets_in("Paris")
    assert not await town.lets_in("Rosaline")
    assert "Paris" not in town.logged.getvalue()


async def test_a_password_is_not_changed_without_end(town: "Town") -> None:
    await town.again(registration=Registration(password_changes_per_hour=2))
    for _ in range(2):
        assert await town.iq("set", query(CHANGE)) == IqResult()
    assert error(await town.iq("set", query(CHANGE))) == ("resource-constraint", "wait", "500")
    town.clock.advance(1800)
    assert await town.iq("set", query(CHANGE)) == IqResult()


async def test_a_change_that_the_gateway_sealed_is_opened_for_its_own_account_only(town: "Town") -> None:  # §3.3
    assert await town.iq("set", query(CHANGE), seal_for="juliet@capulet.lit") == IqResult()
    assert error(await town.iq("set", query(CHANGE), seal_for="romeo@capulet.lit")) == ("resource-constraint", "wait", "500")


@pytest.mark.parametrize("username", ["JULIET", "juliet@capulet.lit"])
async def test_a_user_may_spell_the_own_name_in_other_ways(town: "Town", username: str) -> None:
    assert await town.iq("set", query(f"<username>{username}</username><password>Paris</password>")) == IqResult()
    assert await town.lets_in("Paris")


@pytest.mark.parametrize("username", ["romeo", "nobody", "romeo@capulet.lit", "juliet@montague.lit", "a b", "@"])
async def test_nobody_changes_or_makes_another_account_from_his_own(town: "Town", username: str) -> None:  # §3.1.1
    await town.do("add", "romeo@capulet.lit", "wherefore")
    answer = await town.iq("set", query(f"<username>{username}</username><password>mine</password>"))
    assert error(answer) == ("not-acceptable", "modify", "406")
    assert len((await town.do("list", "")).accounts) == 2
    assert await town.lets_in("Rosaline")


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "<username>juliet</username>",
        "<password>Paris</password>",
        "<username>juliet</username><password/>",
        "<username>juliet</username><password></password>",
        "<username/><password>Paris</password>",
        "<username>juliet</username><password>a</password><password>b</password>",
        "<username>juliet</username><password>a<b/></password>",
        "<remove/><username>juliet</username>",
        "<remove/><x xmlns='urn:other'/>",
        "<remove/><remove/>",
        "<x xmlns='jabber:x:data' type='submit'/>",
    ],
)
async def test_incomplete_and_overfull_requests_are_bad_ones_and_change_nothing(town: "Town", fields: str) -> None:  # §3.2, §3.3
    assert error(await town.iq("set", query(fields))) == ("bad-request", "modify", "400")
    assert await town.lets_in("Rosaline")


async def test_a_password_that_can_be_none_is_not_acceptable(town: "Town") -> None:
    answer = await town.iq("set", query(f"<username>juliet</username><password>{'x' * 1024}</password>"))
    assert error(answer) == ("not-acceptable", "modify", "406")
    assert b"xxx" not in answer.error
    assert await town.lets_in("Rosaline")


async def test_a_user_cancels_the_registration_and_gets_the_answer_before_his_sessions_end(town: "Town") -> None:  # §3.2
    shard = await town.shard(forgets=True)
    assert await town.iq("set", query("<remove/>")) == IqResult()
    assert not shard.heard
    assert await town.exists() == AccountExists(exists=False)
    await town.until(lambda: shard.heard)
    assert isinstance(shard.heard[0], AccountDeleted)


async def test_a_cancellation_that_is_repeated_while_it_goes_on_is_answered_again(town: "Town") -> None:
    await town.shard(forgets=False)
    assert await town.iq("set", query("<remove/>")) == IqResult()
    assert await town.iq("set", query("<remove/>")) == IqResult()
    assert error(await town.iq("set", query(CHANGE))) == ("unexpected-request", "wait", "400")


@pytest.mark.parametrize("sender", ["nobody@capulet.lit/x", "juliet@verona.lit/x", "juliet@montague.lit/x", "verona.lit", "capulet.lit"])
async def test_who_is_not_registered_here_gets_the_errors_of_the_tables(town: "Town", sender: str) -> None:
    assert error(await town.iq("get", query(""), sender=sender)) == ("service-unavailable", "cancel", "503")
    assert error(await town.iq("set", query("<remove/>"), sender=sender)) == ("registration-required", "auth", "407")
    assert error(await town.iq("set", query(CHANGE), sender=sender)) == ("unexpected-request", "wait", "400")
    assert await town.lets_in("Rosaline")


@pytest.mark.parametrize("to", ["montague.lit", "romeo@capulet.lit"])
async def test_a_registration_at_one_domain_is_none_at_another(town: "Town", to: str) -> None:
    assert error(await town.iq("set", query("<remove/>"), to=to)) == ("registration-required", "auth", "407")
    assert await town.exists() == AccountExists(exists=True)


async def test_what_the_operator_switched_off_nobody_may_do(town: "Town") -> None:  # §3.2, §3.3
    await town.again(registration=Registration(password_change=False))
    assert error(await town.iq("set", query(CHANGE))) == ("not-allowed", "cancel", "405")
    await town.again(registration=Registration(removal=False))
    assert error(await town.iq("set", query("<remove/>"))) == ("not-allowed", "cancel", "405")
    await town.again(registration=Registration(password_change=False, removal=False))
    for kind, fields in (("get", ""), ("set", CHANGE), ("set", "<remove/>")):
        assert error(await town.iq(kind, query(fields))) == ("service-unavailable", "cancel", "503")
    assert await town.lets_in("Rosaline")


@pytest.mark.parametrize(
    "children",
    [
        "",
        "<",
        "</iq>",
        "<query/>",
        "&nbsp;",
        "\x00",
        query("") * 2,
        "<!DOCTYPE x>",
        "<a>" * 100_000,
        query("<username>&x;</username>"),
        "text",
    ],
    ids=range(11),
)
async def test_what_can_not_be_read_is_refused(town: "Town", children: str) -> None:
    for kind in ("set", "get"):
        assert error(await town.iq(kind, children))[0] in ("bad-request", "service-unavailable")


@pytest.mark.parametrize(("sender", "to"), [("", "capulet.lit"), ("\x00@x", "capulet.lit"), ("juliet@capulet.lit", "@@"), ("x" * 9999, "")])
async def test_an_iq_from_or_to_nobody_is_refused(town: "Town", sender: str, to: str) -> None:
    assert error(await town.iq("get", query(""), sender=sender, to=to))[0] == "bad-request"


@pytest.mark.parametrize("kind", ["result", "error", "", "\x00"])
async def test_an_iq_that_asks_nothing_is_refused(town: "Town", kind: str) -> None:
    assert error(await town.iq(kind, query(""))) == ("bad-request", "modify", "400")
