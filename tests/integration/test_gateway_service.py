"""The gateway as a service: settings refused at start, certificates reloaded, ports, registration of strangers (XEP-0077)."""

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from aldis.core.service.settings import SettingsError, load
from aldis.gateway.net.certificates import CertificateProblem, ensure_self_signed
from aldis.gateway.net.listening import CannotListen, listen
from aldis.gateway.settings import GatewaySettings
from tests.integration.gateway_kit import House, eventually, make_settings


def problems(path: Path, text: str) -> str:
    file = path / "aldis.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, {}, GatewaySettings)
    return str(caught.value)


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "192.0.2.1", "::"])  # noqa: S104  that is what is refused
def test_passwords_in_the_clear_are_refused_where_others_can_connect(tmp_path: Path, host: str) -> None:
    said = problems(tmp_path, f'[c2s]\nhost = "{host}"\nplain_without_tls = true\n')
    assert "c2s.plain_without_tls" in said
    assert 'set c2s.host = "127.0.0.1"' in said


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_passwords_in_the_clear_are_allowed_on_loopback(host: str) -> None:
    settings = GatewaySettings.model_validate({"c2s": {"host": host, "plain_without_tls": True}})
    assert settings.c2s.plain_without_tls


def test_passwords_in_the_clear_are_no_matter_where_every_stream_begins_with_tls() -> None:
    assert GatewaySettings.model_validate({"c2s": {"port": 0, "plain_without_tls": True}}).c2s.plain_without_tls


def test_a_gateway_without_any_port_is_refused(tmp_path: Path) -> None:
    assert "no client could connect" in problems(tmp_path, "[c2s]\nport = 0\ntls_port = 0\n")


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    assert "tls.key" in problems(tmp_path, '[tls]\ncertificate = "x.pem"\n')


def test_limits_are_no_less_than_nothing() -> None:
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate({"limits": {"idle_seconds": -1.0}})


def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    (sock,) = listen("127.0.0.1", 0, "c2s.port")
    with sock, pytest.raises(CannotListen, match=r"c2s\.port: .*another program listens there"):
        listen("127.0.0.1", sock.getsockname()[1], "c2s.port")


def test_a_host_that_is_none_is_named_with_its_setting() -> None:
    with pytest.raises(CannotListen, match=r"c2s\.host: no\.such\.invalid"):
        listen("no.such.invalid", 0, "c2s.port")


async def test_the_status_says_what_there_is(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.session(), house.client() as other:
        await other.features()
        status = house.gateway.status()
        assert (status.connections, status.sessions) == (2, 1)
        assert status.ports == house.gateway.ports()
        (expiry,) = status.certificates.values()
        assert house.metric("aldis_certificate_expiry_seconds", certificate=next(iter(status.certificates))) == expiry


async def test_the_gateway_waits_for_the_directory(tmp_path: Path) -> None:
    house = House(make_settings(tmp_path))
    starting = asyncio.ensure_future(house.gateway.start())
    await eventually(lambda: "directory.awaited" in house.log)
    assert house.gateway.ports().port == 0
    starting.cancel()
    await asyncio.wait([starting])
    async with house:
        assert house.gateway.ports().port
    assert house.log.count("directory.awaited") == 1


async def served(house: House) -> bytes:
    async with house.client(direct=True) as client:
        return client.end_point()


async def test_a_new_certificate_is_used_from_the_next_connection_on(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house:
        async with house.session() as juliet:
            before = await served(house)
            replace_certificate(tmp_path)
            await house.gateway.reload()
            assert await served(house) != before
            juliet.send("<message to='juliet@localhost/balcony'/>")
            await juliet.until("/>")
        assert "certificate.loaded" in house.log


async def test_a_changed_certificate_is_found_by_looking(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house:
        before = await served(house)
        await house.gateway._look_after_files()
        assert await served(house) == before
        replace_certificate(tmp_path)
        await house.gateway._look_after_files()
        assert await served(house) != before


async def test_a_bad_certificate_leaves_the_old_one_in_place(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house:
        before = await served(house)
        (tmp_path / "self-signed.crt").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
        await house.gateway._look_after_files()
        with pytest.raises(CertificateProblem):
            await house.gateway.reload()
        assert await served(house) == before
        assert "certificate.refused" in house.log


def replace_certificate(path: Path) -> None:
    for name in ("self-signed.crt", "self-signed.key"):
        (path / name).unlink()
    certificate, _ = ensure_self_signed(path, ("localhost", "capulet.lit"))
    os.utime(certificate, (1, 1))


async def test_a_missing_certificate_stops_the_start_with_its_setting(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, tls={"certificate": tmp_path / "no.pem", "key": tmp_path / "no.key"})
    with pytest.raises(CertificateProblem, match=r"tls\.certificate"):
        async with House(settings):
            pass


# ── XEP-0077 ──

REGISTER = "<iq type='{type}' id='r' to='localhost'><query xmlns='jabber:iq:register'>{fields}</query></iq>"


def registering(path: Path, **sections: Any) -> GatewaySettings:
    return make_settings(path, registration={"enabled": True}, **sections)


async def test_a_stranger_registers_and_logs_in(tmp_path: Path) -> None:
    async with House(registering(tmp_path)) as house, house.client(direct=True) as client:
        assert "<register xmlns='http://jabber.org/features/iq-register'/>" in await client.features()
        client.send(REGISTER.format(type="get", fields=""))
        form = await client.until("</iq>")
        assert "<username/>" in form
        assert "<password/>" in form
        client.send(REGISTER.format(type="set", fields="<username>Nurse</username><password>angelica</password>"))
        assert "type='result'" in await client.until("</iq>")
        assert house.directory.registered == [("nurse@localhost", b"angelica")]
        assert "<success" in await client.plain("nurse", "angelica")
    assert "angelica" not in house.log


async def test_a_name_that_is_taken_is_a_conflict_with_its_old_code(tmp_path: Path) -> None:
    async with House(registering(tmp_path)) as house, house.client(direct=True) as client:
        await client.features()
        client.send(REGISTER.format(type="set", fields="<username>juliet</username><password>x</password>"))
        answer = await client.until("</iq>")
        assert "<error code='409' type='cancel'><conflict" in answer
        assert "r0m30" not in answer


@pytest.mark.parametrize(
    "fields", ["", "<username>x</username>", "<username>x</username><password/>", "<username>a b</username><password>x</password>"]
)
async def test_what_is_missing_or_no_name_is_not_acceptable(tmp_path: Path, fields: str) -> None:
    async with House(registering(tmp_path)) as house, house.client(direct=True) as client:
        await client.features()
        client.send(REGISTER.format(type="set", fields=fields))
        assert "<error code='406' type='modify'><not-acceptable" in await client.until("</iq>")
        assert house.directory.registered == []


async def test_registration_is_not_offered_unless_it_is_switched_on(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        assert "iq-register" not in await client.features()
        client.send(REGISTER.format(type="get", fields=""))
        assert "<not-authorized" in await client.until_closed()


async def test_nobody_registers_in_the_clear(tmp_path: Path) -> None:
    async with House(registering(tmp_path, c2s={"require_tls": False})) as house, house.client() as client:
        assert "iq-register" not in await client.features()
        client.send(REGISTER.format(type="set", fields="<username>x</username><password>x</password>"))
        assert "<not-allowed" in await client.until("</iq>")
        assert house.directory.registered == []


async def test_who_is_logged_in_gets_no_second_account(tmp_path: Path) -> None:
    async with House(registering(tmp_path)) as house, house.client(direct=True) as client:
        await client.log_in()
        client.send(REGISTER.format(type="set", fields="<username>x</username><password>x</password>"))
        assert "<not-acceptable" in await client.until("</iq>")


async def test_the_certificate_names_the_domains(tmp_path: Path) -> None:
    certificate, _ = ensure_self_signed(tmp_path, ("localhost", "capulet.lit"))
    context = ssl.create_default_context(cafile=str(certificate))
    async with House(make_settings(tmp_path)) as house:
        for domain in ("localhost", "capulet.lit"):
            _, writer = await asyncio.open_connection("127.0.0.1", house.gateway.ports().tls_port, ssl=context, server_hostname=domain)
            writer.close()
            await writer.wait_closed()
