"""The gate's count: what passed, what failed, and what did not run and why."""

from pathlib import Path

import pytest

from tools.gate import SKIPPED, Tally

pytest_plugins = ("pytester",)

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


@pytest.fixture
def pytester_with_needs(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest((Path(__file__).parents[1] / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers =\n    needs(*programs): x\n    integration: x\n    interop: x\n")
    pytester.makepyfile("import pytest\n\n@pytest.mark.needs('no-such-program')\ndef test_client():\n    pass\n")
    return pytester


def test_a_missing_program_skips_a_test_on_a_desk_and_fails_it_under_ci(
    pytester_with_needs: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    pytester_with_needs.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(skipped=1)
    monkeypatch.setenv("CI", "true")
    pytester_with_needs.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(errors=1)
