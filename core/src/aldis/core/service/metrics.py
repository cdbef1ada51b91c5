"""Metrics: plain numbers that the hot path adds to and a scrape reads, in a registry that is handed in."""

import gc
import time
from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

MAX_CELLS = 1000
"""Combinations of label values per metric: labels hold what we choose, never what a stranger sends."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def make_registry() -> CollectorRegistry:
    """A registry of its own, with the memory, CPU and files of the process in it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class Cell:
    """One number. The hot path keeps the cell and says `cell.n += 1`: prometheus-client's `inc()` takes a lock."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n: float = 0


class _Family(Collector):
    """Cells by the values of their labels."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._cells: dict[tuple[str, ...], Cell] = {}
        self._reads: dict[tuple[str, ...], Callable[[], float]] = {}
        if not labels:
            self._cells[()] = Cell()
        registry.register(self)

    def cell(self, *values: str) -> Cell:
        """The number for these label values, made when first asked for."""
        found = self._cells.get(values)
        if found is None:
            self._check(values)
            found = self._cells[values] = Cell()
        return found

    def read(self, source: Callable[[], float], *values: str) -> None:
        """Ask `source` at each scrape, in place of a cell: for what is known anyhow, such as the length of a table."""
        self._check(values)
        self._cells.pop(values, None)
        self._reads[values] = source

    def _check(self, values: tuple[str, ...]) -> None:
        if len(values) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {self._labels}, not {values}")
        if len(self._cells) + len(self._reads) >= MAX_CELLS:
            raise ValueError(f"{self._name} has {MAX_CELLS} combinations of labels already")

    def _samples(self) -> Iterator[tuple[tuple[str, ...], float]]:
        yield from ((values, cell.n) for values, cell in list(self._cells.items()))
        yield from ((values, source()) for values, source in list(self._reads.items()))


class Tally(_Family):
    """A counter: `Tally(registry, "aldis_stanzas_total", "Stanzas.", ("kind", "direction")).cell("message", "in").n += 1`."""

    def describe(self) -> list[CounterMetricFamily]:
        return [CounterMetricFamily(self._name, self._text, labels=self._labels)]

    def collect(self) -> list[CounterMetricFamily]:
        (family,) = self.describe()
        for values, number in self._samples():
            family.add_metric(values, number)
        return [family]


class Level(_Family):
    """A gauge: what is so just now, set in a cell or read at the scrape."""

    def describe(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(self._name, self._text, labels=self._labels)]

    def collect(self) -> list[GaugeMetricFamily]:
        (family,) = self.describe()
        for values, number in self._samples():
            family.add_metric(values, number)
        return [family]


class Spread(Collector):
    """A histogram without labels: `observe` costs a bisection and two additions."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, bounds: Sequence[float] = SECONDS) -> None:
        self._name = name
        self._text = text
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def describe(self) -> list[HistogramMetricFamily]:
        return [HistogramMetricFamily(self._name, self._text, labels=())]

    def collect(self) -> list[HistogramMetricFamily]:
        (family,) = self.describe()
        bounds = [*map(str, self._bounds), "+Inf"]
        family.add_metric((), list(zip(bounds, accumulate(self._counts), strict=True)), self._sum)
        return [family]


class LoopWatch:
    """Tells how late the loop comes to what is due, and how long garbage collection stops everything.

    Both gauges hold the worst since the last scrape, since a mean hides the stall that users feel.
    """

    name = "loop watch"

    def __init__(self, registry: CollectorRegistry, *, interval: float = 0.25) -> None:
        self._interval = interval
        self._timer: TimerHandle | None = None
        self._worst = {"lag": 0.0, "pause": 0.0}
        self._collecting = 0.0
        Level(registry, "aldis_loop_lag_seconds", "The latest that the event loop was since the last scrape.").read(
            lambda: self._take("lag")
        )
        Level(registry, "aldis_gc_pause_seconds", "The longest garbage collection since the last scrape.").read(lambda: self._take("pause"))

    async def start(self) -> None:
        loop = get_running_loop()
        self._timer = loop.call_later(self._interval, self._tick, loop, loop.time() + self._interval)
        gc.callbacks.append(self._collected)

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            gc.callbacks.remove(self._collected)
            self._timer = None

    def _tick(self, loop: AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._worst["lag"] = max(self._worst["lag"], now - due)
        self._timer = loop.call_later(self._interval, self._tick, loop, now + self._interval)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.perf_counter()
        else:
            self._worst["pause"] = max(self._worst["pause"], time.perf_counter() - self._collecting)

    def _take(self, which: str) -> float:
        worst, self._worst[which] = self._worst[which], 0.0
        return worst
