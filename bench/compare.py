"""Put Aldis and its peers through the same work, in turn, and print what each of them did: `python -m bench.compare --help`."""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from bench.embedded import Embedded
from bench.load import Figure, build, measure
from bench.machine import facts
from bench.over_rabbit import Ground, OverRabbit
from bench.peers import Ejabberd, Prosody
from bench.processes import BUILD, Failed
from bench.runs import PAIRS, RUNS, Run, takes
from bench.servers import Server
from bench.table import BUSY, lines

SERVERS: Final[dict[str, Callable[[Ground], Server]]] = {
    "aldis": lambda _: Embedded(),
    "rabbit-1": lambda ground: OverRabbit("rabbit-1", ground, gateways=1, routers=1),
    "rabbit-2": lambda ground: OverRabbit("rabbit-2", ground, gateways=1, routers=2),
    "rabbit-8": lambda ground: OverRabbit("rabbit-8", ground, gateways=8, routers=1),
    "ejabberd": lambda _: Ejabberd(),
    "prosody": lambda _: Prosody(),
}
CLIENTS: Final = PAIRS[2]
SLACK: Final = 120.0
"""Seconds beyond what is measured after which a run is given up: logins of many clients on a busy machine."""


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", default=",".join(SERVERS), help=f"servers, with commas between them (default: {','.join(SERVERS)})")
    parser.add_argument("--runs", default=",".join(run.name for run in RUNS), help=f"of {', '.join(run.name for run in RUNS)}")
    parser.add_argument("--rounds", type=int, default=2, help="how often each server is measured, in turn (default: 2)")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each measurement takes (default: 8)")
    parser.add_argument("--minutes", type=float, default=20.0, help="when to end at the latest, with what there is (default: 20)")
    parser.add_argument("--json", default=str(BUILD / "bench.json"), help="where the figures are written (default: build/bench.json)")
    options = parser.parse_args(words)
    options.only = _chosen(parser, "--only", options.only, tuple(SERVERS))
    options.runs = _chosen(parser, "--runs", options.runs, tuple(run.name for run in RUNS))
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be more than 0")
    return options


def _chosen(parser: argparse.ArgumentParser, name: str, text: str, known: Sequence[str]) -> list[str]:
    names = [part for part in text.split(",") if part]
    for unknown in [part for part in names if part not in known]:
        parser.error(f"{name} {unknown}: not one of {', '.join(known)}")
    return names


@contextlib.contextmanager
def started(names: Sequence[str], failures: list[str]) -> Iterator[list[Server]]:
    """Start the servers, with the clients' accounts in each; one that can't be had is a failure and no end."""
    with contextlib.ExitStack() as stack:
        ground = Ground()
        stack.callback(ground.end)
        servers = []
        for name in names:
            server = SERVERS[name](ground)
            stack.callback(server.stop)
            try:
                server.start()
                measure(server, "register", ("register", "--clients", CLIENTS), number=0, limit=300)
            except Failed as reason:
                failures.append(f"{name}: {reason}")
                print(f"{name}: {reason}", file=sys.stderr)
            else:
                servers.append(server)
        yield servers


def rounds(servers: Sequence[Server], options: argparse.Namespace, failures: list[str]) -> Iterator[Figure]:
    """Measure: each server in turn in each run, as often as there are rounds."""
    end = time.monotonic() + options.minutes * 60
    for number in range(options.rounds):
        for run in (run for run in RUNS if run.name in options.runs):
            for server in (server for server in servers if takes(run, server.name)):
                if time.monotonic() > end:
                    failures.append(f"ended after {options.minutes:g} minutes, in round {number + 1}")
                    return
                try:
                    figure = one(server, run, number, options.seconds)
                except Failed as reason:
                    failures.append(str(reason))
                    print(reason, file=sys.stderr)
                    continue
                print(f"  round {number + 1}  {run.name:<10}{server.name:<10}{figure.rate:>9,.0f} a second", file=sys.stderr)
                yield figure


def one(server: Server, run: Run, number: int, seconds: float) -> Figure:
    """One measurement, with a quarter of its time before to warm up."""
    words = (*run.words, "--seconds", f"{seconds:g}", "--warm", f"{max(seconds / 4, 1):g}")
    return measure(server, run.name, words, number=number, limit=seconds * 1.25 + SLACK)


def report(machine: dict[str, Any], figures: Sequence[Figure], failures: Sequence[str]) -> Iterator[str]:
    """What is printed."""
    load = machine["load_average"][0]
    yield f"{machine['cores']} cores ({machine['cpu']}), load average before {load:.2f}, commit {machine['commit']}"
    yield "  " + ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield from lines(figures)
    yield ""
    yield "  CPU µs: of all of the server's processes for one message; client: of the load client; others: cores that others kept busy."
    busy = [figure for figure in figures if figure.others > BUSY]
    if busy:
        yield f"  The machine was not idle in {len(busy)} of {len(figures)} measurements: believe ratios and CPU µs, not what stands alone."
    for failure in failures:
        yield f"  FAILED {failure.splitlines()[0]}"


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if something could not be measured."""
    options = arguments(words)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    failures: list[str] = []
    machine = facts()
    try:
        build()
    except Failed as reason:
        print(reason, file=sys.stderr)
        return 1
    with started(options.only, failures) as servers:
        figures = list(rounds(servers, options, failures))
    print("\n".join(report(machine, figures, failures)), flush=True)
    with open(options.json, "w") as file:  # noqa: PTH123  a path as the command line gave it
        json.dump(
            {
                "when": datetime.now(UTC).isoformat(timespec="seconds"),
                "machine": machine,
                "figures": msgspec.to_builtins(figures),
                "failures": failures,
            },
            file,
            indent=1,
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
