"""The settings machinery: where values come from, and how wrong ones are told."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr, model_validator

from aldis.core.service.sections import CommonSettings, OptionalPort, Port
from aldis.core.service.settings import SecretUrl, Section, SettingsError, Wrong, load, masked, show


class C2s(Section):
    """Where clients connect."""

    host: str = Field(default="0.0.0.0", description="Address to listen on.")  # noqa: S104  never bound
    port: Port = Field(default=5222, description="Port for STARTTLS.")
    tls_port: OptionalPort = Field(default=5223, description="Port for direct TLS.")
    require_tls: bool = Field(default=True, description="Refuse clients without TLS.")
    plain_without_tls: bool = Field(default=False, description="Offer PLAIN in the clear.")
    ratio: float = Field(default=0.5, description="A number.")


class Admin(Section):
    """Who may administer."""

    token: SecretStr = Field(default=SecretStr(""), description="The token.")


class GatewaySettings(CommonSettings):
    c2s: C2s = C2s()

    @model_validator(mode="after")
    def _plain_needs_loopback(self) -> "GatewaySettings":
        if self.c2s.plain_without_tls and self.c2s.host != "127.0.0.1":
            raise Wrong("c2s.plain_without_tls", "would send passwords in the clear; set c2s.host to 127.0.0.1 or leave it out")
        return self


class AdminSettings(CommonSettings):
    admin: Admin = Admin()


class AllSettings(GatewaySettings, AdminSettings):
    pass


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("aldis.toml")


def problems(
    text: str, environ: dict[str, str] | None = None, *, shared: bool = False, model: type[CommonSettings] = AllSettings
) -> list[str]:
    Path("aldis.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(None, environ or {}, model, shared=shared)
    assert all("\n" not in problem for problem in caught.value.problems)
    return caught.value.problems


def test_without_a_file_everything_has_its_default(file: Path) -> None:
    settings = load(None, {}, AllSettings, search=[file])
    assert settings.domains == ("localhost",)
    assert settings.c2s == C2s()
    assert settings.database.url.get_secret_value() == "sqlite:///data/aldis.db"


def test_the_default_database_lies_in_data_dir(file: Path) -> None:
    assert load(None, {"ALDIS_DATA_DIR": "/srv/x"}, AllSettings).database.url.get_secret_value() == "sqlite:////srv/x/aldis.db"


def test_relative_paths_in_a_file_are_relative_to_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('data_dir = "kept"')
    (tmp_path / "b.toml").write_text('data_dir = "/srv/kept"')
    assert load(tmp_path / "a.toml", {}, AllSettings).data_dir == tmp_path / "kept"
    assert load(tmp_path / "b.toml", {}, AllSettings).data_dir == Path("/srv/kept")
    assert load(tmp_path / "a.toml", {"ALDIS_DATA_DIR": "here"}, AllSettings).data_dir == Path("here")


def test_the_origin_is_that_of_the_setting_and_not_of_its_section(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[c2s]\nport = 5000")
    origins = {shown.name: shown.origin for shown in show(load(tmp_path / "a.toml", {}, AllSettings)) if shown.name.startswith("c2s.")}
    assert origins.pop("c2s.port").endswith("a.toml")
    assert set(origins.values()) == {"default"}


def test_the_environment_wins_over_the_file(file: Path) -> None:
    file.write_text("domains = ['a.example']\n[c2s]\nport = 5000\nratio = 1\n[log]\nlevel = 'debug'")
    environ = {"ALDIS_C2S__PORT": "6000", "ALDIS_C2S__REQUIRE_TLS": "false", "ALDIS_C2S__RATIO": "0.25", "HOME": "/"}
    settings = load(None, environ, AllSettings)
    assert (settings.c2s.port, settings.c2s.require_tls, settings.c2s.ratio, settings.log.level) == (6000, False, 0.25, "debug")


@pytest.mark.parametrize("value", ['["a.example", "B.example"]', "a.example,B.example", " a.example , B.example,"])
def test_a_list_in_a_variable_is_json_or_has_commas(file: Path, value: str) -> None:
    assert load(None, {"ALDIS_DOMAINS": value}, AllSettings).domains == ("a.example", "b.example")


def test_the_named_file_comes_before_the_variable_and_that_before_the_folder(file: Path) -> None:
    for name, port in (("aldis.toml", 1001), ("b.toml", 1002), ("c.toml", 1003)):
        Path(name).write_text(f"[c2s]\nport = {port}")
    assert load(None, {}, AllSettings).c2s.port == 1001
    assert load(None, {"ALDIS_CONFIG": "b.toml"}, AllSettings).c2s.port == 1002
    assert load(Path("c.toml"), {"ALDIS_CONFIG": "b.toml"}, AllSettings).c2s.port == 1003


def test_a_named_file_that_is_missing_is_a_problem(file: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {"ALDIS_CONFIG": "no.toml"}, AllSettings)
    assert caught.value.problems == [
        "no.toml (ALDIS_CONFIG): can't be read: No such file or directory; name another file or mend its permissions"
    ]


def test_a_wrong_value_is_named_with_its_origin_and_its_mend(file: Path) -> None:
    assert problems("[c2s]\nport = 70000") == ["c2s.port = 70000 (aldis.toml): a port is 1 to 65535; use 5222 or leave it out"]
    assert problems("", {"ALDIS_C2S__PORT": "many"}) == [
        'c2s.port = "many" (ALDIS_C2S__PORT): must be a whole number; use 5222 or leave it out'
    ]


def test_all_problems_are_told_at_once(file: Path) -> None:
    found = problems("domains = ['a b', 'u@c']\n[c2s]\nport = true\nrequire_tls = 'no'\n[log]\nlevel = 'loud'\n[bus]\nshards = 0")
    assert [problem.split(" ")[0] for problem in found] == [
        "domains[0]",
        "domains[1]",
        "bus.shards",
        "log.level",
        "c2s.port",
        "c2s.require_tls",
    ]


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("[c2s]\nprot = 1", "c2s.prot (aldis.toml): there is no such setting; did you mean c2s.port?"),
        ("domain = 'x'", "domain (aldis.toml): there is no such setting; did you mean domains?"),
        ("[metrix]\nport = 1", "metrix (aldis.toml): there is no such setting; did you mean metrics?"),
        ("tls_port = 1", "tls_port (aldis.toml): there is no such setting; did you mean c2s.tls_port?"),
        (
            "[c2s]\ndata_dir = 'x'",
            "c2s.data_dir (aldis.toml): there is no such setting; data_dir belongs at the top of the file, above the first [section]",
        ),
        ("[c2s]\nzzz = 1", "c2s.zzz (aldis.toml): there is no such setting; leave it out"),
        ("c2s = 5", "c2s = 5 (aldis.toml): must be a section; write [c2s] and its settings below"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_that_exists(file: Path, text: str, mend: str) -> None:
    assert problems(text) == [mend]


def test_a_misspelt_variable_is_told(file: Path) -> None:
    assert problems("", {"ALDIS_C2S__PRT": "1", "ALDIS_C2S_PORT": "1"}) == [
        "ALDIS_C2S_PORT: there is no such setting; did you mean ALDIS_C2S__PORT?",
        "ALDIS_C2S__PRT: there is no such setting; did you mean ALDIS_C2S__PORT?",
    ]


def test_what_kubernetes_puts_into_the_environment_is_no_setting(file: Path) -> None:
    environ: dict[str, str] = {}
    for service in ("ALDIS", "ALDIS_C2S", "ALDIS_METRICS"):
        environ |= {
            f"{service}_SERVICE_HOST": "10.0.0.1",
            f"{service}_SERVICE_PORT": "5222",
            f"{service}_SERVICE_PORT_XMPP_CLIENT": "5222",
            f"{service}_PORT": "tcp://10.0.0.1:5222",
            f"{service}_PORT_5222_TCP": "tcp://10.0.0.1:5222",
            f"{service}_PORT_5222_TCP_PROTO": "tcp",
            f"{service}_PORT_5222_TCP_PORT": "5222",
            f"{service}_PORT_5222_TCP_ADDR": "10.0.0.1",
        }
    load(None, environ, AllSettings)


@pytest.mark.parametrize(
    ("variable", "mend"),
    [
        ("ALDIS_FOO", "leave it out"),
        ("ALDIS_C2S", "c2s is a section, whose settings are ALDIS_C2S__NAME"),
        ("ALDIS_DOMAIN", "did you mean ALDIS_DOMAINS?"),
        ("ALDIS_PORT", "did you mean ALDIS_C2S__PORT?"),
        ("ALDIS_", "leave it out"),
    ],
)
@pytest.mark.parametrize("shared", [False, True])
def test_a_variable_outside_of_a_section_is_told_too(file: Path, variable: str, mend: str, shared: bool) -> None:
    assert problems("", {variable: "1"}, shared=shared) == [f"{variable}: there is no such setting; {mend}"]


def test_a_service_leaves_the_sections_of_others_alone_but_not_its_own(file: Path) -> None:
    file.write_text("[c2s]\nport = 1\n[admin]\ntoken = 'x'")
    assert load(None, {"ALDIS_ADMIN__TOKEN": "y"}, GatewaySettings, shared=True).c2s.port == 1
    assert problems("[admin]\n[c2s]\nprot = 1", {"ALDIS_C2S__PROT": "1"}, shared=True, model=GatewaySettings) == [
        "ALDIS_C2S__PROT: there is no such setting; did you mean ALDIS_C2S__PORT?",
        "c2s.prot (aldis.toml): there is no such setting; did you mean c2s.port?",
    ]


def test_in_a_section_of_several_services_each_leaves_alone_what_it_does_not_know(file: Path) -> None:
    class Limits(Section):
        partial = True
        connections: int = 10

    class Model(CommonSettings):
        limits: Limits = Limits()

    file.write_text("[limits]\nconnections = 1\nroster_items = 2")
    environ = {"ALDIS_LIMITS__ROSTER_BYTES": "3"}
    assert load(None, environ, Model, shared=True).limits.connections == 1
    assert len(problems(file.read_text(), environ, model=Model)) == 2


def test_settings_that_do_not_go_together_are_told_by_name(file: Path) -> None:
    assert problems("[c2s]\nplain_without_tls = true") == [
        "c2s.plain_without_tls = true (aldis.toml): would send passwords in the clear; set c2s.host to 127.0.0.1 or leave it out"
    ]


@pytest.mark.parametrize(
    ("text", "place"), [("a = 1\n[c2s\n", "line 2, column 5"), ("a = '", "line 1, column 6"), ("a == 1", "line 1, column 4")]
)
def test_a_syntax_error_names_line_and_column(file: Path, text: str, place: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"aldis.toml: {place}: ")


def test_a_file_that_is_not_utf8_is_told_with_its_line(file: Path) -> None:
    file.write_bytes(b"a = 1\nb = '\xff'")
    with pytest.raises(SettingsError, match=r"^aldis.toml: line 2: not UTF-8; save the file as UTF-8$"):
        load(None, {}, AllSettings)


def test_a_secret_comes_from_a_file_named_in_the_file_or_in_a_variable(file: Path) -> None:
    Path("secret").write_text("s3cret\n")
    file.write_text("[admin]\ntoken_file = 'secret'")
    settings = load(None, {}, AllSettings)
    assert settings.admin.token.get_secret_value() == "s3cret"
    assert {item.name: item.origin for item in show(settings)}["admin.token"] == "admin.token_file secret"
    file.write_text("[admin]\ntoken = 'other'")
    assert load(None, {"ALDIS_ADMIN__TOKEN_FILE": "secret"}, AllSettings).admin.token.get_secret_value() == "s3cret"


def test_a_secret_set_twice_or_unreadable_is_told(file: Path) -> None:
    assert problems("[admin]\ntoken = 'x'\ntoken_file = 'y'") == [
        'admin.token_file = "y" (aldis.toml): admin.token is set as well; keep one of the two'
    ]
    assert problems("", {"ALDIS_ADMIN__TOKEN": "x", "ALDIS_ADMIN__TOKEN_FILE": "y"}) == [
        "ALDIS_ADMIN__TOKEN_FILE: ALDIS_ADMIN__TOKEN is set as well; keep one of the two"
    ]
    assert problems("[admin]\ntoken_file = 'y'") == [
        'admin.token_file = "y" (aldis.toml): can\'t be read: No such file or directory; mend the file or name another'
    ]


def test_secrets_are_masked_where_they_are_shown(file: Path) -> None:
    file.write_text("[admin]\ntoken = 's3cret'\n[database]\nurl = 'sqlite:///x.db'")
    lines = [item.line() for item in show(load(None, {"ALDIS_C2S__PORT": "1"}, AllSettings))]
    assert "s3cret" not in "\n".join(lines)
    assert 'admin.token = "********"  # aldis.toml' in lines
    assert 'database.url = "sqlite:///x.db"  # aldis.toml' in lines
    assert "c2s.port = 1  # ALDIS_C2S__PORT" in lines
    assert "c2s.tls_port = 5223  # default" in lines


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://aldis:s3cret@mq/v", "amqp://aldis:********@mq/v"),
        ("amqp://aldis@mq/v", "amqp://aldis@mq/v"),
        ("amqp://aldis:s3/c?r#et@mq", "amqp://aldis:********@mq"),
        ("amqp://mq/v?ssl_key_password=s3cret&x=1", "amqp://mq/v?ssl_key_password=********&x=1"),
        ("aldis:s3cret@mq", "********"),
        ("", ""),
        ("amqp://aldis:s@cret@mq", "amqp://aldis:********@mq"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(SecretUrl(url)) == shown


def test_a_database_without_an_adapter_is_refused(file: Path) -> None:
    (problem,) = problems("[database]\nurl = 'mysql://aldis:s3cret@db/aldis'")
    assert problem == (
        "database.url = ******** (aldis.toml): must be sqlite:///PATH (sqlite:////PATH if absolute) "
        "or postgresql://ROLE:PASSWORD@HOST/DATABASE; mend it or leave it out"
    )


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("postgresql://aldis:s3cret@db", "names no database"),
        ("postgresql://aldis:s3cret@db/", "names no database"),
        ("postgresql:///?host=db", "names no database"),
        ("postgresql://aldis:s3#cret@db/aldis", "holds a blank, a # or"),
        ("postgresql://aldis:s3 cret@db/aldis", "holds a blank, a # or"),
    ],
)
def test_an_address_of_postgresql_that_makes_no_sense_is_refused(file: Path, url: str, fault: str) -> None:
    (problem,) = problems(f"[database]\nurl = '{url}'")
    assert problem.startswith(f"database.url = ******** (aldis.toml): {fault}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://aldis:s%23cret@db:5433/aldis?sslmode=verify-full&sslrootcert=/etc/aldis/db.pem",
        "postgres://aldis@db1,db2:5433/aldis?target_session_attrs=read-write",
        "postgresql:///aldis?host=/var/run/postgresql",
    ],
)
def test_an_address_of_postgresql_is_taken(file: Path, url: str) -> None:
    file.write_text(f"[database]\nurl = '{url}'")
    assert load(None, {}, AllSettings).database.url.get_secret_value() == url


def test_secrets_are_masked_in_problems(file: Path) -> None:
    assert problems("[admin]\ntoken = 12345") == ["admin.token = ******** (aldis.toml): must be text in quotes; mend it or leave it out"]


def test_a_hostile_value_stays_on_its_line(file: Path) -> None:
    (problem,) = problems('[log]\nlevel = "x\\nINFO all is well\\u001b[2J\\u202e"')
    assert problem.isprintable()
    (problem,) = problems('"a\\nb" = 1')
    assert problem.isprintable()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return {None: '""', True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)


def outcome(path: Path | None, environ: dict[str, str]) -> list[str]:
    """The lines that an operator sees: the settings, or what is wrong with them; never none, never another exception."""
    try:
        return [item.line() for item in show(load(path, environ, AllSettings, search=[]))]
    except SettingsError as error:
        return error.problems or ["\n"]


@given(
    st.sampled_from(["domains", "data_dir", "c2s", "c2s.port", "c2s.host", "log.level", "admin.token", "admin.token_file", "x.y"]), VALUES
)
def test_whatever_stands_in_the_file_gives_settings_or_printable_problems(name: str, value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.toml")
        path.write_text(f"{name} = {toml(value)}")
        assert all(line.isprintable() for line in outcome(path, {}))


@given(
    st.sampled_from(["ALDIS_DOMAINS", "ALDIS_C2S__PORT", "ALDIS_C2S__RATIO", "ALDIS_ADMIN__TOKEN_FILE", "ALDIS__", "ALDIS_C2S__"]),
    st.text(),
)
def test_whatever_stands_in_the_environment_gives_settings_or_printable_problems(name: str, value: str) -> None:
    assert all(line.isprintable() for line in outcome(None, {name: value}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('data_dir = ""', 'data_dir = "" (aldis.toml): must not be empty'),
        ('data_dir = "a\\u0000b"', 'data_dir = "a\\u0000b" (aldis.toml): holds a NUL'),
        ('data_dir = "~/aldis"', 'data_dir = "~/aldis" (aldis.toml): ~ is not expanded'),
        ('[admin]\ntoken_file = "~/token"', 'admin.token_file = "~/token" (aldis.toml): ~ is not expanded'),
        ('[admin]\ntoken_file = "a\\u0000b"', 'admin.token_file = "a\\u0000b" (aldis.toml): holds a NUL'),
        ('[database]\nurl = "sqlite:///a\\u0000b"', "database.url = ******** (aldis.toml): holds a NUL"),
        ('[database]\nurl = "sqlite:///~/aldis.db"', "database.url = ******** (aldis.toml): ~ is not expanded"),
    ],
)
def test_what_can_be_no_path_is_refused(file: Path, text: str, words: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(words)
    assert ";" in problem


def test_what_can_be_no_path_is_refused_in_a_variable_too(file: Path) -> None:
    assert problems("", {"ALDIS_DATA_DIR": ""}) == ['data_dir = "" (ALDIS_DATA_DIR): must not be empty; name a file or folder']
    assert load(None, {"ALDIS_DATA_DIR": "a~b/~"}, AllSettings).data_dir == Path("a~b/~")
