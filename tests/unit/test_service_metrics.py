"""Metrics: plain numbers in, Prometheus text out."""

import asyncio
import gc
import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from aldis.core.service.metrics import MAX_CELLS, Level, LoopWatch, Spread, Tally, make_registry


def text(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_a_cell_that_is_added_to_is_read_at_the_scrape() -> None:
    registry = CollectorRegistry()
    tally = Tally(registry, "aldis_stanzas_total", "Stanzas.", ("kind", "direction"))
    cell = tally.cell("message", "in")
    cell.n += 2
    tally.cell("message", "in").n += 1
    assert text(registry) == ['aldis_stanzas_total{direction="in",kind="message"} 3.0']
    assert "# TYPE aldis_stanzas_total counter" in generate_latest(registry).decode()


def test_a_level_is_read_where_it_is_known() -> None:
    registry = CollectorRegistry()
    sessions = ["a", "b"]
    Level(registry, "aldis_sessions", "Sessions.").read(lambda: len(sessions))
    assert text(registry) == ["aldis_sessions 2.0"]
    sessions.clear()
    assert text(registry) == ["aldis_sessions 0.0"]


def test_a_metric_without_labels_starts_at_nought() -> None:
    registry = CollectorRegistry()
    Tally(registry, "aldis_dead_letters_total", "Dead letters.")
    assert text(registry) == ["aldis_dead_letters_total 0.0"]


def test_a_spread_counts_into_buckets() -> None:
    registry = CollectorRegistry()
    spread = Spread(registry, "aldis_delivery_seconds", "Delivery.", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        spread.observe(value)
    assert text(registry) == [
        'aldis_delivery_seconds_bucket{le="0.1"} 2.0',
        'aldis_delivery_seconds_bucket{le="1.0"} 3.0',
        'aldis_delivery_seconds_bucket{le="+Inf"} 4.0',
        "aldis_delivery_seconds_count 4.0",
        "aldis_delivery_seconds_sum 3.65",
    ]


def test_labels_are_bounded_and_counted() -> None:
    tally = Tally(CollectorRegistry(), "aldis_bounced_total", "Bounced.", ("reason",))
    for number in range(MAX_CELLS):
        tally.cell(str(number))
    with pytest.raises(ValueError, match="combinations"):
        tally.cell("one more")
    with pytest.raises(ValueError, match="labels"):
        tally.cell("a", "b")


def test_a_name_is_given_once() -> None:
    registry = CollectorRegistry()
    Tally(registry, "aldis_x_total", "X.")
    with pytest.raises(ValueError, match="Duplicated"):
        Tally(registry, "aldis_x_total", "X.")


def test_the_registry_tells_of_the_process() -> None:
    assert any(line.startswith("process_resident_memory_bytes ") for line in text(make_registry()))


async def test_a_loop_that_was_blocked_shows_as_lag_once() -> None:
    registry = CollectorRegistry()
    watch = LoopWatch(registry, interval=0.01)
    await watch.start()
    await asyncio.sleep(0.02)
    time.sleep(0.1)  # noqa: ASYNC251  the blocking is the point
    await asyncio.sleep(0.02)
    gc.collect()
    await watch.stop()
    first, second = ({line.split()[0]: float(line.split()[1]) for line in text(registry)} for _ in range(2))
    assert first["aldis_loop_lag_seconds"] >= 0.05
    assert first["aldis_gc_pause_seconds"] > 0
    assert second["aldis_loop_lag_seconds"] == 0
    assert watch._collected not in gc.callbacks
