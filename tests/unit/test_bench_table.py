"""The benchmark's table: ratios of the same round, and what it says of goals on a machine that others use."""

from typing import Any

from bench.load import Figure
from bench.runs import RUNS, Goal, takes
from bench.table import lines, verdict


def figure(server: str, rate: float, number: int, *, others: float = 0.0, run: str = "chat", **cpu: float) -> Figure:
    """A measurement of one second."""
    load: dict[str, Any] = {"per_second": rate, "received": rate, "p50_ms": 1.0, "p99_ms": 2.0, "cpu": 0.1}
    return Figure(server, run, number, load, cpu or {server: 0.5}, others, 0.0)


def row(text: list[str], server: str) -> list[str]:
    """The columns of a server's line."""
    return next(line.split() for line in text if line.startswith(f"  {server} "))


def test_a_ratio_is_that_of_one_round() -> None:
    fast, slow = 1000.0, 100.0  # others came in the second round
    text = list(
        lines([figure("aldis", 2 * fast, 0), figure("ejabberd", fast, 0), figure("aldis", 3 * slow, 1), figure("ejabberd", slow, 1)])
    )
    assert row(text, "aldis")[2] == "2.50"
    assert row(text, "ejabberd")[2] == "1.00"


def test_without_the_reference_there_is_no_ratio_and_no_verdict() -> None:
    text = "\n".join(lines([figure("aldis", 1000, 0)]))
    assert "nothing to compare with" in text
    assert "reached" not in text


def test_cpu_is_that_of_all_processes_for_one_message() -> None:
    text = list(lines([figure("rabbit-1", 10_000, 0, gateway=0.2, router=0.1)]))
    assert row(text, "rabbit-1")[4] == "30"
    assert "gateway 20 + router 10" in "\n".join(text)


def test_a_goal_counts_everything_that_it_asks() -> None:
    goal = Goal(ratio=1.0, p50=2, p99=10)
    assert verdict(goal, 1.0, 2, 10, 0.0).endswith(": reached")
    for ratio, p50, p99 in ((0.99, 2, 10), (1.0, 2.1, 10), (1.0, 2, 10.1)):
        assert verdict(goal, ratio, p50, p99, 0.0).endswith(": not reached")


def test_a_machine_that_others_use_is_named_where_a_goal_is_missed() -> None:
    assert "1.5 cores taken by others" in verdict(Goal(p50=2), 0, 3, 3, 1.5)
    assert "others" not in verdict(Goal(p50=2), 0, 3, 3, 0.1)


def test_eight_gateways_are_measured_where_they_are_named_only() -> None:
    assert [run.name for run in RUNS if takes(run, "rabbit-8")] == ["gateways"]
    assert "gateways" not in [run.name for run in RUNS if takes(run, "aldis")]
