"""What is done to accounts through the directory."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from aldis.core.contracts.accounts import AccountCommand, AccountExists, AccountResult
from aldis.core.contracts.services import WhoIsThere
from aldis.core.seal import context, seal
from aldis.directory.settings import Registration

if TYPE_CHECKING:
    from tests.integration.directory.conftest import Town

JULIET = "juliet@capulet.lit"


async def test_an_account_that_was_added_is_listed_and_can_be_used(town: "Town") -> None:
    await town.do("add", "Romeo@MONTAGUE.lit", "wherefore")
    await town.do("add", "benvolio@montague.lit", "peace")
    await town.do("disable", "benvolio@montague.lit")
    montagues = (("benvolio@montague.lit", True), ("romeo@montague.lit", False))
    assert (await town.do("list", "montague.lit")).accounts == montagues
    assert (await town.do("list", "")).accounts == ((JULIET, False), *montagues)
    assert await town.lets_in("Rosaline")


async def test_a_name_that_is_taken_is_refused_and_keeps_its_password(town: "Town") -> None:
    assert (await town.do("add", "JULIET@capulet.lit", "other")).error == "conflict"
    assert await town.lets_in("Rosaline")
    assert not await town.lets_in("other")


async def test_of_many_who_add_the_same_name_at_once_one_succeeds(town: "Town") -> None:
    results = await asyncio.gather(*(town.do("add", "nurse@capulet.lit", f"pw{n}") for n in range(10)))
    assert sorted(result.error for result in results) == ["", *["conflict"] * 9]


async def test_a_changed_password_replaces_the_old_one(town: "Town") -> None:
    assert await town.do("passwd", password="Paris") == AccountResult()
    assert await town.lets_in("Paris")
    assert not await town.lets_in("Rosaline")


@pytest.mark.parametrize("action", ["passwd", "disable", "enable", "delete"])
async def test_nothing_is_done_to_an_account_that_is_not_there(town: "Town", action: str) -> None:
    assert (await town.do(action, "nobody@capulet.lit", "secret")).error == "item-not-found"


@pytest.mark.parametrize("action", ["add", "passwd", "disable", "enable", "delete", "register"])
async def test_a_domain_that_is_not_served_is_told_with_the_setting_to_mend(town: "Town", action: str) -> None:
    result = await town.do(action, "romeo@verona.lit", "secret")
    assert result.error == ("not-allowed" if action in ("add", "register") else "item-not-found")
    assert "`domains` (capulet.lit, montague.lit)" in result.text
    assert (await town.do("list", "verona.lit")).error == "item-not-found"


NO_ACCOUNTS = ["", "@", "capulet.lit", f"{JULIET}/balcony", "a b@capulet.lit", "\x00@capulet.lit", "x" * 90_000, "\ud800@capulet.lit"]


@pytest.mark.parametrize("account", NO_ACCOUNTS, ids=range(len(NO_ACCOUNTS)))
async def test_what_names_no_account_is_refused_with_a_reason(town: "Town", account: str) -> None:
    for action in ("add", "passwd", "disable", "enable", "delete", "register"):
        result = await town.do(action, account, "secret")
        assert (result.error, bool(result.text)) == ("jid-malformed", True)
    assert await town.exists(account) == AccountExists(exists=False)


@pytest.mark.parametrize("action", ["add", "passwd", "register"])
@pytest.mark.parametrize("password", ["", "\x00", "x" * 1024, "\u00a8" * 400, "\u0888"])
async def test_what_can_be_no_password_is_not_acceptable(town: "Town", action: str, password: str) -> None:
    account = JULIET if action == "passwd" else "nurse@capulet.lit"
    result = await town.do(action, account, password)
    assert (result.error, bool(result.text)) == ("not-acceptable", True)
    assert await town.lets_in("Rosaline")


@pytest.mark.parametrize("sealed", [b"", b"\xff" * 300, b"\x02" * 50_000])
async def test_a_password_that_does_not_unseal_is_a_bad_request(town: "Town", sealed: bytes) -> None:
    result = await town.ask(AccountCommand(action="add", account="nurse@capulet.lit", sealed=sealed))
    assert isinstance(result, AccountResult)
    assert (result.error, result.stale_key) == ("bad-request", False)
    bad = seal(town.key, b"\xff\xfe", context("add", "nurse@capulet.lit"))
    assert (await town.ask(AccountCommand(action="add", account="nurse@capulet.lit", sealed=bad))) == AccountResult(
        error="not-acceptable", text="the password is not UTF-8"
    )


@pytest.mark.parametrize("action", ["", "drop", "x" * 10_000])
async def test_an_action_that_is_not_known_is_a_bad_request(town: "Town", action: str) -> None:
    assert (await town.do(action)).error == "bad-request"


async def test_a_message_that_is_no_request_gets_an_answer(town: "Town") -> None:
    assert await town.ask(WhoIsThere()) == AccountResult(error="feature-not-implemented", text="the directory does not know this request")


async def test_no_password_is_in_the_database_or_the_log(town: "Town") -> None:
    await town.do("passwd", password="a-password-to-look-for")
    await town.database.close()
    for file in town.path.iterdir():
        assert b"a-password-to-look-for" not in file.read_bytes()
    assert "a-password-to-look-for" not in town.logged.getvalue()
    await town.database.open()


async def test_whether_an_account_exists_is_right_at_once_after_each_change(town: "Town") -> None:
    for action, expected in (
        ("", AccountExists(exists=True)),
        ("disable", AccountExists(exists=True, disabled=True)),
        ("enable", AccountExists(exists=True)),
        ("delete", AccountExists(exists=False)),
    ):
        if action:
            await town.do(action)
        assert await town.exists() == expected
        assert await town.exists("JULIET@capulet.lit") == expected
    assert await town.exists("romeo@verona.lit") == AccountExists(exists=False)


async def test_strangers_register_only_where_that_is_switched_on(bare_town: "Town") -> None:
    town = bare_town
    await town.begin()
    assert (await town.do("register", "nurse@capulet.lit", "peter")).error == "not-allowed"
    assert await town.exists("nurse@capulet.lit") == AccountExists(exists=False)


async def test_a_stranger_registers_and_an_address_that_tries_too_often_is_put_off(town: "Town") -> None:
    results = [await town.do("register", f"guest{n}@capulet.lit", "pw", peer="192.0.2.7") for n in range(11)]
    assert [result.error for result in results] == [*[""] * 10, "not-acceptable"]
    assert (await town.do("register", JULIET, "pw", peer="192.0.2.8")).error == "conflict"
    town.clock.advance(360)
    assert (await town.do("register", "guest10@capulet.lit", "pw", peer="192.0.2.7")) == AccountResult()


async def test_a_registration_limit_of_nought_puts_nobody_off(bare_town: "Town") -> None:
    town = bare_town
    await town.begin(registration=Registration(enabled=True, attempts_per_hour=0))
    results = await asyncio.gather(*(town.do("register", f"guest{n}@capulet.lit", "pw") for n in range(40)))
    assert {result.error for result in results} == {""}
