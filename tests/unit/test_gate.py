"""The gate's count: what passed, what failed, and what did not run and why."""

from pathlib import Path

import pytest

from tests.conftest import pytest_runtest_setup
from tools.gate import SKIPPED, Tally

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_one"/>
<testcase classname="tests.unit.test_a" name="test_two"><failure message="no"/></testcase>
<testcase classname="tests.unit.test_a" name="test_three"><error message="no"/></testcase>
<testcase classname="tests.interop.test_b" name="test_four"><skipped message="not installed: profanity"/></testcase>
</testsuite></testsuites>"""


def test_a_pytest_report_is_counted_case_by_case(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(REPORT)
    tally = Tally()
    tally.add_junit(report)
    assert tally.passed == 1
    assert tally.failed == ["tests/unit/test_a.py::test_two", "tests/unit/test_a.py::test_three"]
    assert tally.missed == ["tests/interop/test_b.py::test_four: not installed: profanity"]


def test_a_script_that_could_not_run_says_why_in_its_last_line() -> None:
    tally = Tally()
    tally.add("e2e.sh", SKIPPED, "starting\nno docker here\n")
    tally.add("lint", 1, "a fault")
    tally.add("types", 0)
    assert (tally.passed, tally.failed, tally.missed) == (1, ["lint"], ["e2e.sh: no docker here"])


@pytest.mark.needs("sh")
def test_a_test_whose_programs_are_there_runs(request: pytest.FixtureRequest) -> None:
    pytest_runtest_setup(request.node)


def test_a_missing_program_skips_a_test_on_a_desk_and_fails_it_under_ci(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.node.add_marker(pytest.mark.needs("no-such-program"))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed: no-such-program"):
        pytest_runtest_setup(request.node)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="not installed: no-such-program"):
        pytest_runtest_setup(request.node)
