"""The alert rules: valid, about metrics that there are, raised when they should be, and in the manual."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_docs import first_cells, metrics, quoted, section

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "aldis.rules.yml"
PLAYED = ROOT / "tests" / "support" / "alerts.test.yml"
FROM_ELSEWHERE = {"up", "process_start_time_seconds", "process_open_fds", "process_max_fds"}
"""Prometheus' own, and its client's."""


def expressions() -> list[str]:
    """What each rule looks at."""
    return re.findall(r"^ +expr: (.+)$", RULES.read_text(), re.MULTILINE)


def test_every_metric_that_an_alert_names_is_there_with_its_labels() -> None:
    known = {name.partition("{")[0]: set(re.findall(r"\w+", name.partition("{")[2])) for name in metrics()}
    assert len(expressions()) > 10
    for expression in expressions():
        for name, matchers in re.findall(r"\b(aldis_\w+|process_\w+|up)(?:\{([^}]*)\})?", expression):
            labels = set(re.findall(r"(\w+)=~?\"", matchers)) - {"job", "instance"}
            assert name in FROM_ELSEWHERE or labels <= known[name], expression


def test_every_alert_is_in_the_manual_and_no_other() -> None:
    named = re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE)
    told = [name for cell in first_cells(section(ROOT / "docs" / "operations.md", "Alerts")) for name in quoted(cell)]
    assert sorted(told) == sorted(named)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("arguments", [("check", "rules", str(RULES)), ("test", "rules", str(PLAYED))], ids=["valid", "played"])
def test_prometheus_itself_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
