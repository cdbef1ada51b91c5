"""The ledger as a table that people read."""

from tests.kill.ledger import Count, Ledger, Part

HEAD = (
    f"{'part':<44} {'sessions':<12} {'sent':>7} {'acked':>7} {'received':>8} {'bounced':>7} {'lost':>5} {'repeated':>8} {'reordered':>9}"
    f" {'p50 ms':>7} {'p99 ms':>7} {'longest ms':>10}"
)


def table(ledger: Ledger) -> str:
    """One line for each part's sessions that resumed, one for the others where there are any, and the sum."""
    lines = [HEAD]
    sums = {True: Count(), False: Count()}
    for part in ledger.parts:
        name, times = part.name, _times(part)
        for resumed in (True, False):
            count = ledger.count(part, resumed=resumed)
            sums[resumed] += count
            if count.sent:
                lines.append(_line(name, "resumed" if resumed else "not resumed", count) + times)
                name = times = ""
        lines += [f"    {line}" for line in _remarks(part)]
    lines += [_line("sum", "resumed", sums[True]), _line("", "not resumed", sums[False])]
    return "\n".join(lines)


def _line(name: str, sessions: str, count: Count) -> str:
    return (
        f"{name:<44} {sessions:<12} {count.sent:>7} {count.acknowledged:>7} {count.received:>8} {count.bounced:>7} {count.lost:>5}"
        f" {count.repeated:>8} {count.reordered:>9}"
    )


def _times(part: Part) -> str:
    return f" {part.percentile(0.5) * 1000:>7.1f} {part.percentile(0.99) * 1000:>7.0f} {part.longest * 1000:>10.0f}"


def _remarks(part: Part) -> list[str]:
    seen = [f"{number} × {what}" for what, number in part.conditions.most_common(8)]
    if part.resumptions or part.unresumed:
        seen.insert(0, f"{part.resumptions} resumptions, {len(part.unresumed)} sessions that could not be resumed")
    return ([", ".join(seen)] if seen else []) + part.remarks + [f"FAULT: {line}" for line in part.complaints[:5]]
