"""The command line, and what is found out from it before anything heavy is imported."""

import shlex
import sys
from pathlib import Path

import pytest

from aldis.core.service.settings import SEARCH, SettingsError, load
from aldis.launcher.arguments import USER_ACTIONS, WITH_PASSWORD, parser
from aldis.launcher.configuration import FILES, quick_data_dir
from aldis.launcher.settings import AldisSettings
from aldis.launcher.status import length
from aldis.launcher.welcome import command_line


@pytest.mark.parametrize("line", ["--config x --json user list", "user --config x list --json", "user list --json --config x"])
def test_common_options_may_stand_anywhere(line: str) -> None:
    options = parser().parse_args(line.split())
    assert (options.config, options.json) == (Path("x"), True)


def test_common_options_have_defaults() -> None:
    options = parser().parse_args(["user", "list"])
    assert (options.config, options.json, options.jid) == (None, False, "")


def test_the_last_config_option_wins() -> None:
    assert parser().parse_args(["--config", "x", "serve", "--config", "y"]).config == Path("y")


@pytest.mark.parametrize("action", sorted(USER_ACTIONS.keys() - WITH_PASSWORD))
def test_only_what_takes_a_password_has_the_option(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["user", action, "juliet@localhost", "--password", "x"])
    assert caught.value.code == 2
    assert "--password" in capsys.readouterr().err


def test_a_password_comes_from_one_place_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["user", "add", "j@localhost", "--password", "x", "--password-stdin"])
    assert "not allowed with" in capsys.readouterr().err


def test_files_are_looked_for_where_the_settings_are_looked_for() -> None:
    assert tuple(map(Path, FILES)) == SEARCH


@pytest.mark.parametrize("text", ["", "data_dir = 'x'", "[c2s]\nport = 1", "data_dir = 'x'\nnonsense = 5"])
@pytest.mark.parametrize("environ", [{}, {"ALDIS_DATA_DIR": "y"}, {"ALDIS_CONFIG": "named.toml"}, {"ALDIS_C2S__PORT": "7"}])
def test_the_quick_look_finds_the_data_directory_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, environ: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("aldis.toml").write_text(text)
    Path("named.toml").write_text("data_dir = 'named'")
    for config in (None, Path("named.toml")):
        found = quick_data_dir(config, environ)
        try:
            assert found == load(config, environ, AldisSettings).data_dir
        except SettingsError:
            assert "nonsense" in text


@pytest.mark.parametrize(
    "text",
    [
        "data_dir = 5",
        "data_dir = [",
        "data_dir = ''\n\xff",
        "[data_dir]\nx = 1",
        'data_dir = ""',
        'data_dir = "a\\u0000b"',
        'data_dir = "~/x"',
    ],
)
def test_the_quick_look_leaves_what_is_wrong_to_the_settings(tmp_path: Path, text: str) -> None:
    file = tmp_path / "aldis.toml"
    file.write_bytes(text.encode("latin-1"))
    assert quick_data_dir(file, {}) is None
    assert quick_data_dir(tmp_path / "missing.toml", {}) is None


def test_the_quick_look_takes_a_relative_path_from_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("etc").mkdir()
    file = Path("etc/aldis.toml")
    for text in ("data_dir = 'kept'", "data_dir = '/srv/kept'", ""):
        file.write_text(text)
        for config, environ in ((file, {}), (None, {"ALDIS_CONFIG": str(file)})):
            assert quick_data_dir(config, environ) == load(config, environ, AldisSettings).data_dir


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.9, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3_725, "1 h 2 min"), (86_400, "1 d 0 h"), (71_276_373, "824 d 22 h")],
)
def test_a_length_of_time_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert length(seconds) == text


def test_the_command_to_type_is_relative_where_it_lies_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("ALDIS_CONFIG", "ALDIS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv/bin/aldis")])
    assert command_line(None) == ".venv/bin/aldis"
    monkeypatch.setattr(sys, "argv", ["/usr/lib/other place/aldis"])
    assert shlex.split(command_line(Path("my file"))) == ["/usr/lib/other place/aldis", "--config", "my file"]
    monkeypatch.setenv("ALDIS_DATA_DIR", "a b")
    assert shlex.split(command_line(None))[0] == "ALDIS_DATA_DIR=a b"


def test_the_command_to_type_is_short_where_the_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "aldis"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert command_line(None).endswith("aldis")
    assert "/" not in command_line(None)
