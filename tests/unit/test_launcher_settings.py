"""One model that has the settings of all services."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aldis.core.service.schema import known_settings
from aldis.core.service.settings import Settings, SettingsError, load, show
from aldis.directory.settings import DirectorySettings
from aldis.gateway.settings import GatewaySettings
from aldis.launcher.settings import AldisSettings, check_shards
from aldis.router.settings import RouterSettings

SERVICES = (DirectorySettings, GatewaySettings, RouterSettings)


@pytest.mark.parametrize("model", SERVICES)
def test_every_setting_of_a_service_can_be_set_and_has_its_default(model: type[Settings]) -> None:
    everything = known_settings(AldisSettings)
    for path, known in known_settings(model).items():
        assert everything[path].field.default == known.field.default


@pytest.mark.parametrize("model", SERVICES)
def test_services_are_given_the_whole(model: type[Settings]) -> None:
    assert issubclass(AldisSettings, model)


def test_each_setting_has_one_meaning() -> None:
    """A name that two services read is in both, or in neither, a setting of the same type."""
    kinds: dict[Any, set[Any]] = {}
    for model in SERVICES:
        for path, known in known_settings(model).items():
            kinds.setdefault(path, set()).add(known.kind)
    assert {path: found for path, found in kinds.items() if len(found) > 1} == {}


def loaded(tmp_path: Path, text: str, environ: Mapping[str, str]) -> AldisSettings:
    """Load settings from this text."""
    file = tmp_path / "aldis.toml"
    file.write_text(text)
    return load(file, environ, AldisSettings)


def test_one_section_holds_the_limits_of_all(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "[limits]\nstanza_bytes = 20000\nroster_items = 5\nauth_failures_per_minute = 7", {})
    assert (settings.limits.stanza_bytes, settings.limits.roster_items, settings.limits.auth_failures_per_minute) == (20000, 5, 7)


def test_the_services_own_checks_hold_in_the_whole(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"c2s\.plain_without_tls"):
        loaded(tmp_path, '[c2s]\nhost = "0.0.0.0"\nplain_without_tls = true', {})


def test_a_number_of_shards_that_nobody_owns_is_refused_with_its_origin(tmp_path: Path) -> None:
    check_shards(loaded(tmp_path, "", {}), 1)
    check_shards(loaded(tmp_path, "[bus]\nshards = 3", {}), 3)
    with pytest.raises(SettingsError, match=r"bus\.shards = 2 \(ALDIS_BUS__SHARDS\): one process holds 1 shard;"):
        check_shards(loaded(tmp_path, "", {"ALDIS_BUS__SHARDS": "2"}), 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[c2s]\nport = 5300\ntls_port = 5300", r"c2s\.port = 5300 \(.*\): c2s\.tls_port is 5300 as well; "),
        ("[c2s]\nport = 5223", r"c2s\.port = 5223 \(.*\): c2s\.tls_port is 5223 as well; "),
        ("[c2s]\nport = 0\ntls_port = 0", r"c2s\.port = 0 \(.*\): c2s\.tls_port is 0 as well"),
        ("[limits]\nstanza_bytes = 9999", r"limits\.stanza_bytes = 9999 \(.*\): must be at least 10000.*; use 262144"),
        ("[tls]\nkey = 'key.pem'", r"tls\.certificate \(.*\): is needed beside tls\.key"),
    ],
)
def test_what_the_gateway_can_not_do_is_refused_with_its_mend(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        loaded(tmp_path, text, {})


@pytest.mark.parametrize("number", [0, 10_000])
def test_a_stanza_may_have_what_the_rfc_wants_at_least_or_have_no_limit(tmp_path: Path, number: int) -> None:
    assert loaded(tmp_path, f"[limits]\nstanza_bytes = {number}", {}).limits.stanza_bytes == number


@pytest.mark.parametrize("model", SERVICES)
def test_one_file_with_everything_in_it_serves_each_service_that_runs_alone(tmp_path: Path, model: type[Settings]) -> None:
    settings = AldisSettings()
    text = tomlish({shown.name: shown.value for shown in show(settings) if shown.value not in (None, "") and "url" not in shown.name})
    (tmp_path / "aldis.toml").write_text(text)
    assert load(tmp_path / "aldis.toml", {}, AldisSettings).limits == settings.limits, "the file itself is good"
    environ = {
        known.variable: "1" for known in known_settings(AldisSettings).values() if known.kind is int and known.name.startswith("limits.")
    }
    environ["ALDIS_LIMITS__STANZA_BYTES"] = "10000"
    assert isinstance(load(tmp_path / "aldis.toml", environ, model, shared=True), model)


def tomlish(values: dict[str, object]) -> str:
    """Write settings as a file."""
    sections: dict[str, list[str]] = {}
    for name, value in values.items():
        section, _, key = name.rpartition(".")
        sections.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    return "\n".join(f"[{section}]\n" * bool(section) + "\n".join(lines) for section, lines in sections.items())
