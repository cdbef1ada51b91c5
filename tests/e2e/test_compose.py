"""docker-compose.yml on a real engine: built, started, talked through, killed in part, and taken down (`make e2e`).

`DOCKER_HOST` names the engine, on this machine. With ALDIS_E2E_STANDINS=1 RabbitMQ and PostgreSQL are made from Debian's packages, for
where no registry can be reached; every other image can be named as docker-compose.yml says.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.wire import Doors
from tests.integration.up.site import is_free
from tests.support.openssl_wire import OpenSslWire

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
STANDINS = ROOT / "tests" / "e2e" / "standins" / "compose.yml"
FIRST_PORT = 15222
LONG = 1500
"""Seconds to build all images on a slow machine."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2 * LONG)]


@dataclass
class Stack:
    """The containers of one project."""

    environ: dict[str, str]
    project: str
    ports: tuple[int, int, int, int]
    secrets: Path

    def compose(self, *words: str, timeout: float = 120, check: bool = True) -> str:
        """Run the compose program; what it printed."""
        files = ["-f", "docker-compose.yml"] + (["-f", str(STANDINS)] if os.environ.get("ALDIS_E2E_STANDINS") else [])
        done = subprocess.run(
            [COMPOSE, "-p", self.project, *files, *words],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def containers(self) -> list[dict[str, Any]]:
        """Every container, also those that have ended."""
        return [json.loads(line) for line in self.compose("ps", "--all", "--format", "json").splitlines()]

    def kill_one(self, service: str) -> None:
        """End one container of a service without a word."""
        victim = next(container["ID"] for container in self.containers() if container["Service"] == service)
        subprocess.run(["docker", "kill", victim], check=True, env=self.environ, stdout=subprocess.DEVNULL)

    def aldis(self, *words: str) -> str:
        """Run the operator's command in a container of its own."""
        return self.compose("run", "--rm", "--no-TTY", "aldis", *words)

    def actor(self, name: str, gateway: int) -> Actor:
        """A client of this gateway, counted from 1; the password is the name."""
        doors = Doors(*self.ports[2 * gateway - 2 : 2 * gateway])
        return Actor(f"{name}@localhost", name, doors, lambda: OpenSslWire(str(self.secrets / "tls.crt")))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything built and up, and gone afterwards with its volumes."""
    secrets = tmp_path_factory.mktemp("secrets")
    first = next(port for port in range(FIRST_PORT, 32_000, 10) if all(is_free(port + more) for more in range(4)))
    ports = (first, first + 1, first + 2, first + 3)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALDIS_") or name.endswith("_IMAGE")}
    environ = {
        **kept,
        "ALDIS_SECRETS": str(secrets),
        "ALDIS_PORT_1": str(ports[0]),
        "ALDIS_TLS_PORT_1": str(ports[1]),
        "ALDIS_PORT_2": str(ports[2]),
        "ALDIS_TLS_PORT_2": str(ports[3]),
    }
    subprocess.run([ROOT / "tools" / "secrets.sh"], env=environ, check=True, stdout=subprocess.DEVNULL)
    made = Stack(environ, f"aldis-e2e-{os.getpid()}", ports, secrets)
    try:
        made.compose("build", timeout=LONG)
        made.compose("up", "--detach", "--wait", "--wait-timeout", "300", timeout=600)
        yield made
    except AssertionError:
        sys.stderr.write(made.compose("logs", "--tail", "40", check=False))
        raise
    finally:
        made.compose("down", "--volumes", "--timeout", "30", check=False)


async def says(one: Actor, other: Actor, body: str) -> None:
    """Send and receive a message."""
    message = f"<message {{}}to='{other.jid}' type='chat' id='{len(body)}'><body>{body}</body></message>"
    await one.sends(message.format(""))
    await other.receives(message.format(f"from='{one.jid}' "))


async def test_two_clients_chat_through_two_gateways_also_when_a_router_is_killed(stack: Stack) -> None:
    for name in ("juliet", "romeo"):
        assert "added" in stack.aldis("user", "add", f"{name}@localhost", "--password", name)
    juliet, romeo = stack.actor("juliet", 1), stack.actor("romeo", 2)
    try:
        await juliet.logs_in("balcony")
        await romeo.logs_in("orchard")
        await says(juliet, romeo, "Romeo?")
        await says(romeo, juliet, "My dear?")
        status = json.loads(stack.aldis("--json", "status"))
        assert sorted(process["service"] for process in status["processes"]) == ["directory", "gateway", "gateway", "router", "router"]
        assert len({shard["owner"] for shard in status["shards"]}) == 2, "shared out"
        stack.kill_one("router")
        await says(juliet, romeo, "Still there?")
    finally:
        for actor in (juliet, romeo):
            await actor.wire.close()


def test_nothing_runs_as_root_or_may_write_to_its_image(stack: Stack) -> None:
    for container in stack.containers():
        found = json.loads(
            subprocess.run(["docker", "inspect", container["ID"]], capture_output=True, check=True, env=stack.environ).stdout
        )[0]
        assert found["Config"]["User"] not in {"", "root", "0"}, container["Name"]
        assert found["HostConfig"]["ReadonlyRootfs"], container["Name"]
        assert found["HostConfig"]["CapDrop"] == ["ALL"], container["Name"]
        passwords = [(stack.secrets / name).read_text() for name in ("postgres_password", "bus_url")]
        assert not any(password in json.dumps(found["Config"]) for password in passwords), container["Name"]


def test_what_was_written_outlives_the_containers(stack: Stack) -> None:
    stack.compose("down", "--timeout", "60", timeout=300)
    stack.compose("up", "--detach", "--wait", "--wait-timeout", "300", timeout=600)
    until = time.monotonic() + 60
    while "juliet@localhost" not in stack.aldis("user", "list"):
        assert time.monotonic() < until
