"""Logins through the directory's questions and answers, over the memory bus and a real SQLite file."""

import asyncio
import io
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from scramp import ScramClient  # type: ignore[import-untyped]
from sqlalchemy import event
from sqlalchemy.engine import Engine

from aldis.core.bus.memory import MemoryBroker
from aldis.core.bus.names import DIRECTORY
from aldis.core.contracts.accounts import (
    AccountCommand,
    AccountResult,
    Authenticated,
    AuthRefused,
    DomainMechanisms,
    DomainMechanismsRequest,
    PlainVerifyRequest,
    ScramChallenge,
    ScramChallengeRequest,
    ScramVerifyRequest,
    SealKey,
    SealKeyRequest,
)
from aldis.core.contracts.base import Message
from aldis.core.seal import SealingKey, context, seal
from aldis.core.service.clock import ManualClock
from aldis.core.service.logging import make_logger
from aldis.core.storage import Database
from aldis.core.storage.migrations import migrate
from aldis.core.xmpp.sasl.scram_server import ScramServer
from aldis.directory.app import Directory, migrations
from aldis.directory.settings import Directory as Options
from aldis.directory.settings import DirectorySettings, Limits

DOMAIN = "capulet.lit"
SCRAM = ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")


class House:
    """A running directory, and a gateway's questions to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.logged = io.StringIO()
        self.registry = CollectorRegistry()
        self.database = Database(f"sqlite:///{path / 'aldis.db'}", durable=False)
        self.broker = MemoryBroker()
        self.gateway = self.broker.connect("gateway-1")
        self.key = b""

    async def start(self, **settings: Any) -> None:
        """Run the directory with these settings."""
        await self.database.open()
        await migrate(self.database, [migrations()])
        await self.begin(**settings)

    async def begin(self, **settings: Any) -> None:
        """Run the directory on the tables that there are."""
        chosen: dict[str, Any] = {
            "domains": (DOMAIN, "mantua.lit"),
            "data_dir": self.path,
            "directory": Options(iterations=4096),
            **settings,
        }
        self.directory = Directory(
            settings=DirectorySettings(**chosen),
            bus=self.broker.connect("directory-1"),
            database=self.database,
            clock=self.clock,
            registry=self.registry,
            log=make_logger("info", "json", self.logged, now=self.clock.time),
        )
        await self.directory.start()
        answer = await self.ask(SealKeyRequest())
        assert isinstance(answer, SealKey)
        self.key = answer.key

    async def stop(self) -> None:
        """Stop it, and leave the database."""
        await self.directory.stop()
        await self.database.close()

    async def ask(self, message: Message) -> Message:
        """Ask the directory."""
        return await self.gateway.request(DIRECTORY, message, deadline=5)

    async def command(self, action: str, account: str, password: str | None = None) -> AccountResult:
        """Do something to an account."""
        sealed = b"" if password is None else seal(self.key, password.encode(), context(action, account))
        answer = await self.ask(AccountCommand(action=action, account=account, sealed=sealed, peer="192.0.2.1"))
        assert isinstance(answer, AccountResult)
        return answer

    async def plain(self, username: str, password: str | bytes, peer: str = "192.0.2.1", domain: str = DOMAIN) -> Message:
        """Log in by PLAIN."""
        raw = password.encode() if isinstance(password, str) else password
        sealed = seal(self.key, raw, context("plain", domain, username))
        return await self.ask(PlainVerifyRequest(domain=domain, username=username, sealed=sealed, peer=peer))

    async def challenge(self, username: str, mechanism: str = "SCRAM-SHA-256", domain: str = DOMAIN) -> ScramChallenge:
        """Ask for salt and iteration count."""
        answer = await self.ask(ScramChallengeRequest(domain=domain, username=username, mechanism=mechanism))
        assert isinstance(answer, ScramChallenge)
        return answer

    async def scram(self, username: str, password: str, mechanism: str = "SCRAM-SHA-256") -> Message:
        """Log in by SCRAM, with scramp as the client, which checks the server's signature."""
        client = ScramClient([mechanism], username, password)
        server = ScramServer(mechanism, server_nonce="a-server-nonce", bindings={})
        who = server.first(client.get_client_first().encode())
        challenge = await self.challenge(who.username, mechanism)
        client.set_server_first(server.challenge(challenge.salt, challenge.iterations).decode())
        claim = server.final(client.get_client_final().encode())
        answer = await self.ask(
            ScramVerifyRequest(
                domain=DOMAIN,
                username=who.username,
                mechanism=mechanism,
                auth_message=claim.auth_message,
                proof=claim.proof,
                peer="192.0.2.1",
            )
        )
        if isinstance(answer, Authenticated):
            client.set_server_final(server.success(answer.signature).decode())
        return answer

    def counted(self, mechanism: str, result: str) -> float:
        """Read the metric of login attempts."""
        return self.registry.get_sample_value("aldis_auth_total", {"mechanism": mechanism, "result": result}) or 0


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A directory that has Juliet."""
    house = House(tmp_path)
    await house.start()
    assert await house.command("add", f"juliet@{DOMAIN}", "Rosaline") == AccountResult()
    yield house
    await house.stop()


class Work:
    """Counts what is done while it is entered: SQL statements, and hash functions called on the event loop."""

    def __init__(self, house: House) -> None:
        self.done: Counter[str] = Counter()
        self._house = house

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
        return self._house.registry.get_sample_value("aldis_password_hashes_total") or 0

    def _statement(self, _conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.done[statement] += 1

    def _call(self, _frame: FrameType, what: str, called: Any) -> None:
        if what == "c_call" and getattr(called, "__module__", None) == "_hashlib":
            self.done[called.__name__] += 1


@pytest.mark.parametrize("mechanism", SCRAM)
async def test_a_client_logs_in_by_scram_and_finds_the_server_genuine(house: House, mechanism: str) -> None:
    answer = await house.scram("juliet", "Rosaline", mechanism)
    assert isinstance(answer, Authenticated)
    assert answer.account == "juliet@capulet.lit"
    assert house.counted(mechanism, "ok") == 1


async def test_a_client_logs_in_by_plain(house: House) -> None:
    assert await house.plain("juliet", "Rosaline") == Authenticated(account="juliet@capulet.lit")
    assert house.counted("PLAIN", "ok") == 1


async def test_names_are_compared_in_their_prepared_form(house: House) -> None:
    assert isinstance(await house.scram("Juliet", "Rosaline"), Authenticated)
    assert await house.plain("JULIET", "Rosaline") == Authenticated(account="juliet@capulet.lit")


async def test_a_password_beyond_ascii_works_by_every_mechanism(house: House) -> None:
    await house.command("passwd", f"juliet@{DOMAIN}", "R\u00f3saline \u2163")
    for mechanism in SCRAM:
        assert isinstance(await house.scram("juliet", "Ro\u0301saline IV", mechanism), Authenticated)
    assert isinstance(await house.plain("juliet", "R\u00f3saline\u00a0IV"), Authenticated)


@pytest.mark.parametrize("mechanism", SCRAM)
async def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(house: House, mechanism: str) -> None:
    wrong = await house.scram("juliet", "wrong", mechanism)
    unknown = await house.scram("nobody", "wrong", mechanism)
    assert wrong == unknown == AuthRefused(condition="not-authorized")
    assert await house.plain("juliet", "wrong") == await house.plain("nobody", "wrong") == AuthRefused(condition="not-authorized")


@pytest.mark.parametrize("mechanism", SCRAM)
async def test_the_challenge_of_an_unknown_user_is_stable_and_looks_like_the_others(house: House, mechanism: str) -> None:
    true = await house.challenge("juliet", mechanism)
    false = await house.challenge("nobody", mechanism)
    assert false == await house.challenge("NOBODY", mechanism)
    assert false != await house.challenge("nobody-else", mechanism)
    assert false != await house.challenge("nobody", mechanism, domain="mantua.lit")
    assert (len(false.salt), false.iterations) == (len(true.salt), true.iterations)


async def test_a_false_challenge_survives_a_restart(house: House) -> None:
    before = await house.challenge("nobody"), await house.challenge("juliet")
    await house.directory.stop()
    house.registry = CollectorRegistry()
    await house.begin()
    assert (await house.challenge("nobody"), await house.challenge("juliet")) == before
    assert isinstance(await house.scram("juliet", "Rosaline"), Authenticated)


async def test_a_changed_iteration_count_does_not_give_away_who_exists(house: House) -> None:
    await house.directory.stop()
    house.registry = CollectorRegistry()
    await house.begin(directory=Options(iterations=5000))
    assert {(await house.challenge(name)).iterations for name in ("juliet", "nobody", "romeo", "tybalt")} == {4096}
    await house.command("passwd", f"juliet@{DOMAIN}", "Rosaline")
    assert (await house.challenge("juliet")).iterations == 5000


async def test_checking_a_proof_is_as_much_work_for_an_unknown_user(house: House) -> None:
    async def refuse(username: str) -> Message:
        return await house.ask(
            ScramVerifyRequest(domain=DOMAIN, username=username, mechanism="SCRAM-SHA-256", auth_message=b"n=,r=", proof=bytes(32))
        )

    assert await refuse("juliet") == await refuse("nobody")  # what is compiled once is compiled now
    with Work(house) as known:
        await refuse("juliet")
    with Work(house) as unknown:
        await refuse("nobody")
    assert known == unknown
    assert known["hmac_digest"] > 0


async def test_checking_a_password_is_as_much_work_for_an_unknown_user(house: House) -> None:
    await house.plain("juliet", "wrong")
    with Work(house) as known:
        await house.plain("juliet", "wrong")
    with Work(house) as unknown:
        await house.plain("nobody", "wrong")
    assert known == unknown
    assert known["slow hashes"] == 1


async def test_only_who_has_the_right_password_learns_that_an_account_is_disabled(house: House) -> None:
    await house.command("disable", f"juliet@{DOMAIN}")
    assert await house.challenge("juliet") == await house.challenge("juliet")
    for answer in (await house.scram("juliet", "Rosaline"), await house.plain("juliet", "Rosaline")):
        assert isinstance(answer, AuthRefused)
        assert answer.condition == "account-disabled"
    for answer in (await house.scram("juliet", "wrong"), await house.plain("juliet", "wrong")):
        assert answer == AuthRefused(condition="not-authorized")
    await house.command("enable", f"juliet@{DOMAIN}")
    assert isinstance(await house.scram("juliet", "Rosaline"), Authenticated)


async def test_every_served_domain_offers_all_mechanisms_and_no_other_domain_any(house: House) -> None:
    assert await house.ask(DomainMechanismsRequest(domain=DOMAIN)) == DomainMechanisms(scram=SCRAM[::-1])
    assert await house.ask(DomainMechanismsRequest(domain="verona.lit")) == DomainMechanisms(scram=(), plain=False)


async def test_a_password_sealed_to_an_older_key_asks_for_sealing_again(house: House) -> None:
    house.key = SealingKey.generate().public
    assert await house.plain("juliet", "Rosaline") == AuthRefused(condition="temporary-auth-failure", stale_key=True)
    answer = await house.command("add", f"romeo@{DOMAIN}", "wherefore")
    assert answer.stale_key
    assert answer.error


async def test_a_password_sealed_for_somebody_else_is_of_no_use(house: House) -> None:
    await house.command("add", f"mallory@{DOMAIN}", "Rosaline")
    sealed = seal(house.key, b"Rosaline", context("plain", DOMAIN, "juliet"))
    answer = await house.ask(PlainVerifyRequest(domain=DOMAIN, username="mallory", sealed=sealed))
    assert isinstance(answer, AuthRefused)
    assert (answer.condition, answer.stale_key) == ("malformed-request", False)


async def test_failures_on_one_account_put_off_further_ones_until_time_has_passed(house: House) -> None:
    for n in range(12):
        assert await house.plain("juliet", "wrong", peer=f"192.0.2.{n}") == AuthRefused(condition="not-authorized")
    refused = await house.plain("juliet", "Rosaline", peer="192.0.2.99")
    assert isinstance(refused, AuthRefused)
    assert refused.condition == "temporary-auth-failure"
    assert (await house.plain("nobody", "wrong")) == AuthRefused(condition="not-authorized")
    house.clock.advance(5)
    assert isinstance(await house.plain("juliet", "Rosaline", peer="192.0.2.99"), Authenticated)
    assert house.counted("PLAIN", "throttled") == 1


async def test_an_unknown_account_is_put_off_like_a_known_one(house: House) -> None:
    answers = [[await house.plain(name, "wrong", peer="") for _ in range(14)] for name in ("juliet", "nobody")]
    assert answers[0] == answers[1]
    assert len({answer.condition for answer in answers[0] if isinstance(answer, AuthRefused)}) == 2


async def test_failing_on_purpose_does_not_lock_out_who_uses_the_account(house: House) -> None:
    assert isinstance(await house.plain("juliet", "Rosaline", peer="192.0.2.1"), Authenticated)
    for n in range(20):
        await house.plain("juliet", "wrong", peer=f"198.51.100.{n}")
    assert isinstance(await house.plain("juliet", "Rosaline", peer="198.51.100.99"), AuthRefused)
    assert isinstance(await house.plain("juliet", "Rosaline", peer="192.0.2.1"), Authenticated)


async def test_failures_from_one_address_put_off_further_ones_from_it_alone(house: House) -> None:
    for n in range(60):
        await house.plain(f"guess{n}", "wrong", peer=f"2001:db8::{n:x}")
    refused = await house.plain("juliet", "Rosaline", peer="2001:db8::ffff")
    assert isinstance(refused, AuthRefused)
    assert refused.condition == "temporary-auth-failure"
    assert isinstance(await house.plain("juliet", "Rosaline", peer="2001:db8:0:1::1"), Authenticated)


async def test_a_limit_of_nought_puts_nobody_off(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.start(limits=Limits(auth_failures_per_minute=0, auth_failures_per_address_per_minute=0))
    assert {await house.plain("juliet", "wrong") for _ in range(100)} == {AuthRefused(condition="not-authorized")}
    await house.stop()


async def test_a_refusal_is_told_with_who_and_why_and_without_the_password(house: House) -> None:
    await house.plain("juliet\nforged", "a-wrong-password", peer="192.0.2.7")
    line = house.logged.getvalue().splitlines()[-1]
    assert "auth.refused" in line
    assert "192.0.2.7" in line
    assert "not-authorized" in line
    assert "juliet\\nforged@capulet.lit" in line
    assert "a-wrong-password" not in house.logged.getvalue()


HOSTILE_NAMES = ["", "x" * 100_000, "\x00", "juliet\x00", "jul@iet", "juliet/balcony", "\ud800", "\u202e", "\uff20" * 500, "'; DROP TABLE"]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
async def test_hostile_names_are_refused_like_unknown_ones(house: House, name: str) -> None:
    refused = AuthRefused(condition="not-authorized")
    assert await house.plain(name, "Rosaline") == refused
    challenge = await house.challenge(name)
    assert challenge == await house.challenge(name)
    assert challenge.iterations == 4096
    assert (
        await house.ask(
            ScramVerifyRequest(domain=DOMAIN, username=name, mechanism="SCRAM-SHA-1", auth_message=b"", proof=b"", peer="\x00" * 9999)
        )
        == refused
    )
    assert await house.ask(PlainVerifyRequest(domain=name, username="juliet", sealed=b"\xff" * 500)) == AuthRefused(
        condition="malformed-request", text="the password was not sealed for this request"
    )


@pytest.mark.parametrize("password", [b"", b"\x00", b"\xff\xfe", b"x" * 60_000, b"Rosaline\x00", "\u0888".encode()])
async def test_what_can_be_no_password_fails_like_a_wrong_one(house: House, password: bytes) -> None:
    assert await house.plain("juliet", password) == AuthRefused(condition="not-authorized")


@pytest.mark.parametrize("mechanism", ["", "PLAIN", "SCRAM-SHA-3", "SCRAM-", "x" * 10_000, "\ud800"])
async def test_a_mechanism_that_is_not_known_is_refused_and_multiplies_no_metric(house: House, mechanism: str) -> None:
    for request in (
        ScramChallengeRequest(domain=DOMAIN, username="juliet", mechanism=mechanism),
        ScramVerifyRequest(domain=DOMAIN, username="juliet", mechanism=mechanism, auth_message=b"", proof=b""),
    ):
        answer = await house.ask(request)
        assert isinstance(answer, AuthRefused)
        assert answer.condition == "invalid-mechanism"
    assert house.counted("other", "invalid") == 1


async def test_many_log_in_at_once(house: House) -> None:
    answers = await asyncio.gather(*(house.scram("juliet", "Rosaline") for _ in range(200)))
    assert all(isinstance(answer, Authenticated) for answer in answers)
