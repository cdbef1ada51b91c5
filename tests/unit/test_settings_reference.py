"""The settings reference: generated, whole and always the same."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import Field, SecretStr

from aldis.core.service.sections import CommonSettings, Limit
from aldis.core.service.settings import Section, Settings

TOOL = Path(__file__).parents[2] / "tools" / "settings_reference.py"


class Mail(Section):
    """Where mail goes."""

    retries: Limit = Field(default=3, description="How often to try | again.")
    token: SecretStr = Field(default=SecretStr(""), description="The token.")
    ratio: float = Field(default=0.5, gt=0, description="A ratio.")


class MailSettings(CommonSettings):
    mail: Mail = Mail()


class Undescribed(Settings):
    port: int = 5


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("settings_reference", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def render(tool: ModuleType) -> Callable[[Sequence[type[Settings]]], str]:
    found: Callable[[Sequence[type[Settings]]], str] = tool.render
    return found


def test_each_setting_has_its_row(render: Callable[[Sequence[type[Settings]]], str]) -> None:
    text = render([MailSettings])
    assert '| `domains` | `ALDIS_DOMAINS` | list | `["localhost"]` | The domains that are served. |' in text
    assert "## [mail]\n\nWhere mail goes.\n\n| name |" in text
    assert "| `retries` | `ALDIS_MAIL__RETRIES` | whole number, at least 0 | `3` | How often to try \\| again. |" in text
    assert "| `token` | `ALDIS_MAIL__TOKEN` | text, *secret* | *empty* | The token. |" in text
    assert "| `ratio` | `ALDIS_MAIL__RATIO` | number, more than 0 | `0.5` | A ratio. |" in text
    assert "| `format` | `ALDIS_LOG__FORMAT` | `human` or `json` | `human` |" in text.replace('"', "")


def test_what_services_share_stands_there_once(render: Callable[[Sequence[type[Settings]]], str]) -> None:
    text = render([CommonSettings, MailSettings, CommonSettings])
    assert text.count("ALDIS_DATA_DIR") == 1
    assert text == render([MailSettings])


def test_a_setting_without_a_description_is_refused(render: Callable[[Sequence[type[Settings]]], str]) -> None:
    with pytest.raises(ValueError, match="port has no description"):
        render([Undescribed])


def test_a_stale_reference_fails_the_check(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.md"
    model = "aldis.core.service.sections:CommonSettings"
    assert tool.main([model, "--check", str(file)]) == 1
    assert tool.main([model, "--output", str(file)]) == 0
    assert tool.main([model, "--check", str(file)]) == 0
    file.write_text(file.read_text() + "x")
    assert tool.main([model, "--check", str(file)]) == 1
    assert "run make docs" in capsys.readouterr().out
