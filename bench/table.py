"""The figures of a benchmark as a table, with ratios to ejabberd and what is to be reached."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Final

from bench.load import Figure
from bench.runs import GOALS, RUNS, Goal

AGAINST: Final = "ejabberd"
HEAD: Final = f"  {'server':<10}{'a second':>9}{'ratio':>7}{'p50 ms':>8}{'p99 ms':>8}{'CPU µs':>8}{'client':>8}{'others':>8}"
BUSY: Final = 0.15
"""Cores taken by others from which on a figure says something about them too."""


def lines(figures: Sequence[Figure]) -> Iterator[str]:
    """A table for each run."""
    for run in RUNS:
        ours = [figure for figure in figures if figure.run == run.name]
        if not ours:
            continue
        yield ""
        yield f"{run.name}: {run.title}"
        yield ""
        yield HEAD
        reference = {figure.round: figure.rate for figure in ours if figure.server == AGAINST}
        for server in dict.fromkeys(figure.server for figure in ours):
            yield _row([figure for figure in ours if figure.server == server], reference, GOALS.get((run.name, server)))


def _row(figures: Sequence[Figure], reference: Mapping[int, float], goal: Goal | None) -> str:
    """The medians over the rounds; a ratio is that of one round, since what disturbs differs between rounds."""
    server = figures[0].server
    ratio = ratio_of(figures, reference)
    p50, p99 = (median(figure.load[name] for figure in figures) for name in ("p50_ms", "p99_ms"))
    each = {name: median(figure.each(figure.cpu[name]) for figure in figures) for name in figures[0].cpu}
    others = median(figure.others for figure in figures)
    where = " + ".join(f"{name} {value:.0f}" for name, value in each.items()) if len(each) > 1 else ""
    said = [where, verdict(goal, ratio, p50, p99, others)]
    return (
        f"  {server:<10}{median(figure.rate for figure in figures):>9,.0f}{f'{ratio:.2f}' if ratio else '':>7}{p50:>8.2f}{p99:>8.2f}"
        f"{sum(each.values()):>8.0f}{median(figure.each(figure.load['cpu']) for figure in figures):>8.1f}{others:>8.2f}"
        f"  {'; '.join(part for part in said if part)}"
    ).rstrip()


def ratio_of(figures: Iterable[Figure], reference: Mapping[int, float]) -> float:
    """The median over the rounds of what this server did for one message of the reference; 0 without one."""
    ratios = [figure.rate / reference[figure.round] for figure in figures if reference.get(figure.round)]
    return median(ratios) if ratios else 0.0


def verdict(goal: Goal | None, ratio: float, p50: float, p99: float, others: float) -> str:
    """Whether the goal is reached; a machine that others use can show that it is, and not that it isn't."""
    if goal is None or (goal.ratio and not ratio):
        return f"{goal}: nothing to compare with" if goal else ""
    reached = (not goal.ratio or ratio >= goal.ratio) and (not goal.p50 or p50 <= goal.p50) and (not goal.p99 or p99 <= goal.p99)
    if reached:
        return f"{goal}: reached"
    return f"{goal}: not reached" + (f", with {others:.1f} cores taken by others" if others > BUSY else "")
