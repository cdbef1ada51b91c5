"""Logins through the directory's questions and answers, over the memory bus and a real SQLite file."""

import asyncio
import sys
from collections import Counter
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from aldis.core.contracts.accounts import (
    Authenticated,
    AuthRefused,
    DomainMechanisms,
    DomainMechanismsRequest,
    PlainVerifyRequest,
    ScramChallengeRequest,
    ScramVerifyRequest,
)
from aldis.core.contracts.base import Message
from aldis.core.seal import SealingKey, context, seal
from aldis.directory.settings import Directory as Options
from aldis.directory.settings import Limits

if TYPE_CHECKING:
    from tests.integration.directory.conftest import Town

SCRAM = ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Work:
    """Counts what is done while it is entered: SQL statements, and hash functions called on the event loop."""

    def __init__(self, town: "Town") -> None:
        self.done: Counter[str] = Counter()
        self._town = town

    def __enter__(self) -> Counter[str]:
        self._hashed = self._slow()
        event.listen(Engine, "before_cursor_execute", self._statement)
        sys.setprofile(self._call)
        return self.done

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        event.remove(Engine, "before_cursor_execute", self._statement)
        self.done["slow hashes"] = int(self._slow() - self._hashed)

    def _slow(self) -> float:
        return self._town.sample("aldis_password_hashes_total")

    def _statement(self, _conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.done[statement] += 1

    def _call(self, _frame: FrameType, what: str, called: Any) -> None:
        if what == "c_call" and getattr(called, "__module__", None) == "_hashlib":
            self.done[called.__name__] += 1


@pytest.mark.parametrize("mechanism", SCRAM)
async def test_a_client_logs_in_by_scram_and_finds_the_server_genuine(town: "Town", mechanism: str) -> None:
    answer = await town.scram("juliet", "Rosaline", mechanism)
    assert isinstance(answer, Authenticated)
    assert answer.account == "juliet@capulet.lit"
    assert town.sample("aldis_auth_total", mechanism=mechanism, result="ok") == 1


async def test_a_client_logs_in_by_plain(town: "Town") -> None:
    assert await town.plain("juliet", "Rosaline") == Authenticated(account="juliet@capulet.lit")
    assert town.sample("aldis_auth_total", mechanism="PLAIN", result="ok") == 1


async def test_names_are_compared_in_their_prepared_form(town: "Town") -> None:
    assert isinstance(await town.scram("Juliet", "Rosaline"), Authenticated)
    assert await town.plain("JULIET", "Rosaline") == Authenticated(account="juliet@capulet.lit")


async def test_a_password_beyond_ascii_works_by_every_mechanism(town: "Town") -> None:
    await town.do("passwd", "juliet@capulet.lit", "R\u00f3saline \u2163")
    for mechanism in SCRAM:
        assert isinstance(await town.scram("juliet", "Ro\u0301saline IV", mechanism), Authenticated)
    assert isinstance(await town.plain("juliet", "R\u00f3saline\u00a0IV"), Authenticated)


@pytest.mark.parametrize("mechanism", SCRAM)
async def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(town: "Town", mechanism: str) -> None:
    wrong = await town.scram("juliet", "wrong", mechanism)
    unknown = await town.scram("nobody", "wrong", mechanism)
    assert wrong == unknown == AuthRefused(condition="not-authorized")
    assert await town.plain("juliet", "wrong") == await town.plain("nobody", "wrong") == AuthRefused(condition="not-authorized")


@pytest.mark.parametrize("mechanism", SCRAM)
async def test_the_challenge_of_an_unknown_user_is_stable_and_looks_like_the_others(town: "Town", mechanism: str) -> None:
    true = await town.challenge("juliet", mechanism)
    false = await town.challenge("nobody", mechanism)
    assert false == await town.challenge("NOBODY", mechanism)
    assert false != await town.challenge("nobody-else", mechanism)
    assert false != await town.challenge("nobody", mechanism, domain="montague.lit")
    assert (len(false.salt), false.iterations) == (len(true.salt), true.iterations)


async def test_a_false_challenge_survives_a_restart(town: "Town") -> None:
    before = await town.challenge("nobody"), await town.challenge("juliet")
    await town.again()
    assert (await town.challenge("nobody"), await town.challenge("juliet")) == before
    assert isinstance(await town.scram("juliet", "Rosaline"), Authenticated)


async def test_a_changed_iteration_count_does_not_give_away_who_exists(town: "Town") -> None:
    await town.again(directory=Options(iterations=5000))
    assert {(await town.challenge(name)).iterations for name in ("juliet", "nobody", "romeo", "tybalt")} == {4096}
    await town.do("passwd", "juliet@capulet.lit", "Rosaline")
    assert (await town.challenge("juliet")).iterations == 5000


async def test_checking_a_proof_is_as_much_work_for_an_unknown_user(town: "Town") -> None:
    async def refuse(username: str) -> Message:
        return await town.ask(
            ScramVerifyRequest(domain="capulet.lit", username=username, mechanism="SCRAM-SHA-256", auth_message=b"n=,r=", proof=bytes(32))
        )

    assert await refuse("juliet") == await refuse("nobody")  # what is compiled once is compiled now
    with Work(town) as known:
        await refuse("juliet")
    with Work(town) as unknown:
        await refuse("nobody")
    assert known == unknown
    assert known["hmac_digest"] > 0


async def test_checking_a_password_is_as_much_work_for_an_unknown_user(town: "Town") -> None:
    await town.plain("juliet", "wrong")
    with Work(town) as known:
        await town.plain("juliet", "wrong")
    with Work(town) as unknown:
        await town.plain("nobody", "wrong")
    assert known == unknown
    assert known["slow hashes"] == 1


async def test_only_who_has_the_right_password_learns_that_an_account_is_disabled(town: "Town") -> None:
    await town.do("disable", "juliet@capulet.lit")
    assert await town.challenge("juliet") == await town.challenge("juliet")
    for answer in (await town.scram("juliet", "Rosaline"), await town.plain("juliet", "Rosaline")):
        assert isinstance(answer, AuthRefused)
        assert answer.condition == "account-disabled"
    for answer in (await town.scram("juliet", "wrong"), await town.plain("juliet", "wrong")):
        assert answer == AuthRefused(condition="not-authorized")
    await town.do("enable", "juliet@capulet.lit")
    assert isinstance(await town.scram("juliet", "Rosaline"), Authenticated)


async def test_every_served_domain_offers_all_mechanisms_and_no_other_domain_any(town: "Town") -> None:
    assert await town.ask(DomainMechanismsRequest(domain="capulet.lit")) == DomainMechanisms(scram=SCRAM[::-1])
    assert await town.ask(DomainMechanismsRequest(domain="verona.lit")) == DomainMechanisms(scram=(), plain=False)


async def test_a_password_sealed_to_an_older_key_asks_for_sealing_again(town: "Town") -> None:
    town.key = SealingKey.generate().public
    assert await town.plain("juliet", "Rosaline") == AuthRefused(condition="temporary-auth-failure", stale_key=True)
    answer = await town.do("add", "romeo@capulet.lit", "wherefore")
    assert answer.stale_key
    assert answer.error


async def test_a_password_sealed_for_somebody_else_is_of_no_use(town: "Town") -> None:
    await town.do("add", "mallory@capulet.lit", "Rosaline")
    sealed = seal(town.key, b"Rosaline", context("plain", "capulet.lit", "juliet"))
    answer = await town.ask(PlainVerifyRequest(domain="capulet.lit", username="mallory", sealed=sealed))
    assert isinstance(answer, AuthRefused)
    assert (answer.condition, answer.stale_key) == ("malformed-request", False)


async def test_failures_on_one_account_put_off_further_ones_until_time_has_passed(town: "Town") -> None:
    for n in range(12):
        assert await town.plain("juliet", "wrong", peer=f"192.0.2.{n}") == AuthRefused(condition="not-authorized")
    refused = await town.plain("juliet", "Rosaline", peer="192.0.2.99")
    assert isinstance(refused, AuthRefused)
    assert refused.condition == "temporary-auth-failure"
    assert (await town.plain("nobody", "wrong")) == AuthRefused(condition="not-authorized")
    town.clock.advance(5)
    assert isinstance(await town.plain("juliet", "Rosaline", peer="192.0.2.99"), Authenticated)
    assert town.sample("aldis_auth_total", mechanism="PLAIN", result="throttled") == 1


async def test_an_unknown_account_is_put_off_like_a_known_one(town: "Town") -> None:
    answers = [[await town.plain(name, "wrong", peer="") for _ in range(14)] for name in ("juliet", "nobody")]
    assert answers[0] == answers[1]
    assert len({answer.condition for answer in answers[0] if isinstance(answer, AuthRefused)}) == 2


async def test_failing_on_purpose_does_not_lock_out_who_uses_the_account(town: "Town") -> None:
    assert isinstance(await town.plain("juliet", "Rosaline", peer="192.0.2.1"), Authenticated)
    for n in range(20):
        await town.plain("juliet", "wrong", peer=f"198.51.100.{n}")
    assert isinstance(await town.plain("juliet", "Rosaline", peer="198.51.100.99"), AuthRefused)
    assert isinstance(await town.plain("juliet", "Rosaline", peer="192.0.2.1"), Authenticated)


async def test_failures_from_one_address_put_off_further_ones_from_it_alone(town: "Town") -> None:
    for n in range(60):
        await town.plain(f"guess{n}", "wrong", peer=f"2001:db8::{n:x}")
    refused = await town.plain("juliet", "Rosaline", peer="2001:db8::ffff")
    assert isinstance(refused, AuthRefused)
    assert refused.condition == "temporary-auth-failure"
    assert isinstance(await town.plain("juliet", "Rosaline", peer="2001:db8:0:1::1"), Authenticated)


async def test_a_limit_of_nought_puts_nobody_off(town: "Town") -> None:
    await town.again(limits=Limits(auth_failures_per_minute=0, auth_failures_per_address_per_minute=0))
    assert {await town.plain("juliet", "wrong") for _ in range(100)} == {AuthRefused(condition="not-authorized")}


async def test_a_refusal_is_told_with_who_and_why_and_without_the_password(town: "Town") -> None:
    await town.plain("juliet\nforged", "a-wrong-password", peer="192.0.2.7")
    line = town.logged.getvalue().splitlines()[-1]
    assert "auth.refused" in line
    assert "192.0.2.7" in line
    assert "not-authorized" in line
    assert "juliet\\nforged@capulet.lit" in line
    assert "a-wrong-password" not in town.logged.getvalue()


HOSTILE_NAMES = ["", "x" * 100_000, "\x00", "juliet\x00", "jul@iet", "juliet/balcony", "\ud800", "\u202e", "\uff20" * 500, "'; DROP TABLE"]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
async def test_hostile_names_are_refused_like_unknown_ones(town: "Town", name: str) -> None:
    refused = AuthRefused(condition="not-authorized")
    assert await town.plain(name, "Rosaline") == refused
    challenge = await town.challenge(name)
    assert challenge == await town.challenge(name)
    assert challenge.iterations == 4096
    scram = ScramVerifyRequest(domain="capulet.lit", username=name, mechanism="SCRAM-SHA-1", auth_message=b"", proof=b"", peer="\x00" * 999)
    assert await town.ask(scram) == refused
    assert await town.ask(PlainVerifyRequest(domain=name, username="juliet", sealed=b"\xff" * 500)) == AuthRefused(
        condition="malformed-request", text="the password was not sealed for this request"
    )


@pytest.mark.parametrize("password", [b"", b"\x00", b"\xff\xfe", b"x" * 60_000, b"Rosaline\x00", "\u0888".encode()])
async def test_what_can_be_no_password_fails_like_a_wrong_one(town: "Town", password: bytes) -> None:
    assert await town.plain("juliet", password) == AuthRefused(condition="not-authorized")


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "SCRAM-SHA-3", "SCRAM-", "x" * 10_000, "\ud800"])
async def test_a_mechanism_that_is_not_known_is_refused_and_multiplies_no_metric(town: "Town", mechanism: str) -> None:
    for request in (
        ScramChallengeRequest(domain="capulet.lit", username="juliet", mechanism=mechanism),
        ScramVerifyRequest(domain="capulet.lit", username="juliet", mechanism=mechanism, auth_message=b"", proof=b""),
    ):
        answer = await town.ask(request)
        assert isinstance(answer, AuthRefused)
        assert answer.condition == "invalid-mechanism"
    assert town.sample("aldis_auth_total", mechanism="other", result="invalid") == 1


async def test_many_log_in_at_once(town: "Town") -> None:
    answers = await asyncio.gather(*(town.scram("juliet", "Rosaline") for _ in range(200)))
    assert all(isinstance(answer, Authenticated) for answer in answers)
