"""How clients get in: every mechanism, in the clear, after STARTTLS and over direct TLS (RFC 6120 §5, §6; XEP-0368, XEP-0440)."""

import asyncio
import ssl
from pathlib import Path

import pytest

from aldis.core.contracts.accounts import AuthRefused
from aldis.core.seal import SealingKey
from tests.integration.gateway_kit import PASSWORDS, SCRAM, House, make_settings, trusting


async def test_in_the_clear_a_client_logs_in_and_binds_if_the_operator_allows_it(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, clear=True)) as house, house.client() as client:
        assert "<mechanism>PLAIN</mechanism>" in await client.features()
        assert "<success" in await client.plain("juliet", PASSWORDS["juliet"])
        assert "<bind" in await client.features()
        assert "<jid>juliet@localhost/balcony</jid>" in await client.bind()


async def test_nothing_but_starttls_is_offered_before_tls(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client() as client:
        features = await client.features()
        assert "<starttls" in features
        assert "<required/>" in features
        assert "<mechanism" not in features
        assert "encryption-required" in await client.plain("juliet", PASSWORDS["juliet"])


async def test_after_starttls_a_client_logs_in_and_binds(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client() as client:
        await client.features()
        await client.starttls()
        await client.log_in()
        assert "<jid>juliet@localhost/balcony</jid>" in await client.bind()
    assert "stream.secured" in house.log
    assert "mechanism=PLAIN" in house.log


async def test_what_is_sent_in_clear_behind_starttls_is_forgotten(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client() as client:
        await client.features()
        client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><iq type='get' id='injected'><x xmlns='y'/></iq>")
        await client.until("<proceed[^>]*/>")
        await client.writer.start_tls(trusting())
        await client.log_in()
        assert "injected" not in await client.bind()
        assert house.shard.stanzas == []


async def test_over_direct_tls_with_alpn_a_client_logs_in(tmp_path: Path) -> None:
    context = trusting()
    context.set_alpn_protocols(["xmpp-client"])
    async with House(make_settings(tmp_path)) as house, house.client(direct=True, context=context) as client:
        assert client.tls.selected_alpn_protocol() == "xmpp-client"
        assert "<starttls" not in await client.features()


@pytest.mark.parametrize("mechanism", SCRAM)
async def test_every_scram_lets_the_right_password_in_and_no_other(tmp_path: Path, mechanism: str) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        assert f"<mechanism>{mechanism}</mechanism>" in await client.features()
        assert "<not-authorized/>" in await client.scram(mechanism, "juliet", "wrong")
        assert "<success" in await client.scram(mechanism, "juliet", PASSWORDS["juliet"])
        await client.features()
        assert "<jid>juliet@localhost/made-up</jid>" in await client.bind("")


@pytest.mark.parametrize("mechanism", SCRAM)
async def test_every_plus_mechanism_binds_to_the_channel(tmp_path: Path, mechanism: str) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        features = await client.features()
        assert "<channel-binding type='tls-server-end-point'/>" in features
        assert f"<mechanism>{mechanism}-PLUS</mechanism>" in features
        wrong = ("tls-server-end-point", bytes(32))
        assert "<not-authorized/>" in await client.scram(f"{mechanism}-PLUS", "juliet", PASSWORDS["juliet"], wrong)
        right = ("tls-server-end-point", client.end_point())
        assert "<success" in await client.scram(f"{mechanism}-PLUS", "juliet", PASSWORDS["juliet"], right)


async def test_tls_unique_binds_below_tls_1_3(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True, context=trusting(ssl.TLSVersion.TLSv1_2)) as client:
        assert "<channel-binding type='tls-unique'/>" in await client.features()
        unique = client.tls.get_channel_binding("tls-unique")
        assert unique is not None
        assert "<success" in await client.scram("SCRAM-SHA-256-PLUS", "juliet", PASSWORDS["juliet"], ("tls-unique", unique))


async def test_a_client_that_was_not_shown_channel_binding_is_told_of_the_downgrade(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        await client.features()
        client.auth("SCRAM-SHA-256", b"y,,n=juliet,r=abcdefgh")
        assert "<not-authorized/>" in await client.outcome()


async def test_without_an_initial_response_the_exchange_begins_with_an_empty_challenge(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        await client.features()
        client.auth("PLAIN", None)
        assert await client.challenge() == b""
        client.respond(b"\0juliet\0r0m30")
        assert "<success" in await client.outcome()


@pytest.mark.parametrize(
    ("authzid", "outcome"), [("juliet@localhost", "<success"), ("romeo@localhost", "<invalid-authzid/>"), ("@", "<invalid-authzid/>")]
)
async def test_a_user_may_act_as_nobody_else(tmp_path: Path, authzid: str, outcome: str) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        await client.features()
        assert outcome in await client.plain("juliet", PASSWORDS["juliet"], authzid)


@pytest.mark.parametrize("user", ["juliet", "nobody"])
async def test_a_wrong_password_and_a_wrong_user_fail_alike(tmp_path: Path, user: str) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        await client.features()
        assert await client.plain(user, "wrong") == "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"


async def test_what_the_directory_refuses_has_its_condition(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        house.directory.refuse = AuthRefused(condition="account-disabled", text="this account is disabled")
        await client.features()
        answer = await client.plain("juliet", PASSWORDS["juliet"])
        assert "<account-disabled/>" in answer
        assert "this account is disabled" in answer


async def test_after_three_failures_the_stream_is_closed(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        await client.features()
        for _ in range(3):
            await client.plain("juliet", "wrong")
        assert "<policy-violation" in await client.until_closed()


async def test_a_new_key_of_the_directory_is_fetched_once_when_the_old_one_is_stale(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house:
        async with house.client(direct=True) as client:
            await client.log_in()
        house.directory.key = SealingKey.generate()
        async with house.client(direct=True) as client:
            await client.log_in("romeo")


async def test_a_silent_directory_is_a_temporary_failure(tmp_path: Path) -> None:
    house = House(make_settings(tmp_path))
    house.gateway._directory._deadline = 0.1
    async with house, house.client(direct=True) as client:
        await client.features()
        house.directory.gate.clear()
        client.auth("SCRAM-SHA-1", b"n,,n=juliet,r=abcdefgh")
        assert "<temporary-auth-failure/>" in await client.outcome()
        house.directory.gate.set()
        assert "<success" in await client.scram("SCRAM-SHA-1", "juliet", PASSWORDS["juliet"])


async def test_each_domain_has_its_own_users(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        assert "from='capulet.lit'" in await client.features("capulet.lit")
        assert "<success" in await client.plain("juliet", PASSWORDS["juliet"])
        await client.features("capulet.lit")
        assert "<jid>juliet@capulet.lit/balcony</jid>" in await client.bind()


async def test_a_client_that_leaves_during_its_login_leaves_nothing_behind(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house:
        async with house.client(direct=True) as client:
            await client.features()
            house.directory.gate.clear()
            client.auth("PLAIN", b"\0juliet\0r0m30")
            await asyncio.sleep(0.05)
        board = house.gateway._board
        assert board is not None
        await asyncio.wait_for(board.empty.wait(), 5)
        await asyncio.sleep(0)
        assert not board.tasks
        house.directory.gate.set()
