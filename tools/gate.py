"""Run one gate (check, test, soak) and close with what did not run and the count `N passed, N failed`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BUILD = ROOT / "build"
SKIPPED = 77  # the exit code by which automake's test scripts say that they could not run

STATIC = {
    "format": ("ruff", "format", "--check", "--quiet", "."),
    "lint": ("ruff", "check", "--quiet", "."),
    "types": ("mypy", "--no-error-summary"),
    "imports": ("lint-imports",),
}
WORKERS = ("--numprocesses=3", "--dist=worksteal")
"""Most tests wait for sockets and timers more than they work, and runs are sized for two cores."""
GROUNDS = "--grounds=sqlite,postgresql,rabbitmq"
FAST = ("tests/unit", "tests/property", "tests/scenarios")


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate runs beside the static checks."""

    pytest: tuple[str, ...]
    timeout: int
    """Seconds for all of pytest, so that nothing hangs."""
    debian: bool = False
    soak: bool = False


GATES = {
    "check": Gate((*FAST, "-m", "not soak and not e2e", "--fault-seeds=10"), timeout=300),
    "test": Gate(("tests", "-m", "not soak and not e2e", "--fault-seeds=10", GROUNDS), timeout=780, debian=True),
    "e2e": Gate(("tests/e2e", "-m", "e2e", "--numprocesses=0", "--dist=no"), timeout=3600),
    "soak": Gate((*FAST, "tests/integration", "tests/kill", "--fault-seeds=200", "--timeout=900", GROUNDS), timeout=7200, soak=True),
}


@dataclass(slots=True)
class Tally:
    """Counts, and the reasons of what failed or did not run."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def add(self, name: str, code: int, output: str = "") -> None:
        """Count one check or script by its exit code; the last line of one that could not run is its reason."""
        if code == 0:
            self.passed += 1
        elif code == SKIPPED:
            self.missed.append(f"{name}: {(output.strip().splitlines() or ['no reason given'])[-1]}")
        else:
            self.failed.append(name)

    def add_junit(self, report: Path) -> None:
        """Count the cases of a pytest run."""
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  pytest wrote it
            name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed.append(name)
            elif skip is not None:
                self.missed.append(f"{name}: {skip.get('message')}")
            else:
                self.passed += 1


def run(command: Sequence[str], *, timeout: int, quiet: bool = True, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a program of the virtual environment or the tree, and end its whole process group when its time is up."""
    tool = BIN / command[0]
    argv = [str(tool), *command[1:]] if tool.exists() else list(command)
    # A session of its own, so that what a test started ends with it; output is held back only for what is short.
    process = subprocess.Popen(
        argv,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return 1, f"{output or ''}\nended after {timeout} s"
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        raise
    return process.returncode, output or ""


def report(name: str, code: int, output: str, seconds: float) -> None:
    """Print one line for a step, and its output if it failed."""
    word = {0: "ok", SKIPPED: "did not run"}.get(code, "FAILED")
    print(f"{name:<10} {word} ({seconds:.1f} s)", flush=True)
    if code not in {0, SKIPPED}:
        print(output.strip(), flush=True)


def step(name: str, command: Sequence[str], tally: Tally, timeout: int) -> None:
    """Run, report and count one check or script."""
    started = time.monotonic()
    code, output = run(command, timeout=timeout)
    tally.add(name, code, output)
    report(name, code, output, time.monotonic() - started)


def debian_packages(tally: Tally) -> None:
    """Install what tests need from Debian, or name it among what did not run; under CI it fails."""
    code, output = run(["tools/test_packages.sh"], timeout=600)
    if output:
        print(output.strip(), flush=True)
    if code != 0:
        (tally.failed if os.environ.get("CI") else tally.missed).append((output.strip().splitlines() or ["Debian packages"])[-1])


def pytest(gate: Gate, tally: Tally) -> None:
    """Run pytest on what exists, with its own output, and count its cases."""
    junit = BUILD / "junit.xml"
    junit.unlink(missing_ok=True)
    arguments = [part for part in gate.pytest if not part.startswith("tests") or (ROOT / part).is_dir()]
    env = {"ALDIS_TEST_SOAK": "1"} if gate.soak else {}
    code, why = run(["pytest", *WORKERS, *arguments, f"--junitxml={junit}"], timeout=gate.timeout, quiet=False, env=env)
    if junit.exists():
        tally.add_junit(junit)
    if code != 0 and not tally.failed:
        tally.failed.append(f"pytest ended with exit code {code} {why}".strip())


def main(name: str) -> int:
    """Run the gate of that name; 0 when nothing failed."""
    gate = GATES[name]
    BUILD.mkdir(exist_ok=True)
    started = time.monotonic()
    tally = Tally()
    if gate.debian:
        debian_packages(tally)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda item: step(item[0], item[1], tally, 300), STATIC.items()))
    pytest(gate, tally)

    print(f"\nmake {name}: {time.monotonic() - started:.0f} s")
    for title, lines in (("did not run", tally.missed), ("failed", tally.failed)):
        for line in lines:
            print(f"  {title}: {line}")
    result = f"{tally.passed} passed, {len(tally.failed)} failed"
    (BUILD / "result").write_text(f"{result}\n")
    print(result, flush=True)
    return bool(tally.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
