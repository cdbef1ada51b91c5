"""docker-compose.yml, read by the real compose program: every service is there, ready to be waited for, and may do little."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
ONE_SHOT = {"migrate", "aldis"}
FROM_ELSEWHERE = {"rabbitmq", "postgres"}


@cache
def configuration() -> dict[str, Any]:
    """What compose makes of the file, with what is behind profiles."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALDIS_")}
    done = subprocess.run(
        [COMPOSE, "--profile", "*", "config", "--format", "json"],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def services() -> dict[str, dict[str, Any]]:
    """The services of the file, by name."""
    return dict(configuration()["services"])


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_of_the_workspace_stands_in_compose(service: str) -> None:
    built = {name for name, found in services().items() if found.get("build", {}).get("args", {}).get("SERVICE") == service}
    assert built, f"no container is built with SERVICE={service}"


def test_there_are_two_gateways_and_two_routers() -> None:
    assert {"gateway-1", "gateway-2"} <= services().keys()
    assert services()["router"]["deploy"]["replicas"] == 2
    published = [port["published"] for name in ("gateway-1", "gateway-2") for port in services()[name]["ports"]]
    assert len(set(published)) == 4


@pytest.mark.parametrize("name", sorted(["aldis", "directory", "gateway-1", "gateway-2", "migrate", "postgres", "rabbitmq", "router"]))
def test_every_container_may_do_as_little_as_can_be(name: str) -> None:
    found = services()[name]
    assert found["user"] not in {"", "root", "0", "0:0"}
    assert found["read_only"]
    assert found["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in found["security_opt"]
    assert not found.get("privileged")
    assert ("ports" in found) == name.startswith("gateway"), "only gateways are reached from outside"
    if name not in ONE_SHOT:
        assert found["healthcheck"]["test"]
        assert found["restart"] == "unless-stopped"


def test_the_file_holds_no_secret_and_every_secret_is_a_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"(?i)(password|secret|token)\w*\s*[:=]\s*['\"]?[A-Za-z0-9]{6,}", text)
    assert not re.search(r"://[^/\s]*:[^/\s]*@", text)
    assert all(secret["file"].startswith(str(ROOT / "secrets")) for secret in configuration()["secrets"].values())
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "!secrets" not in (ROOT / ".dockerignore").read_text()


def test_every_image_can_be_named_by_a_variable() -> None:
    images = re.findall(r"^ +image: (.+)$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    assert len(images) > 5
    assert all(re.fullmatch(r"\$\{ALDIS_[A-Z]+_IMAGE:-[\w.:/-]+\}", image) for image in images)


def test_what_is_mounted_is_there() -> None:
    binds = [volume["source"] for found in services().values() for volume in found.get("volumes", ()) if volume["type"] == "bind"]
    assert [path for path in binds if not path.startswith(str(ROOT / "secrets")) and not Path(path).is_file()] == []


def test_gateways_wait_for_everything_that_they_need() -> None:
    wanted = {name: found["condition"] for name, found in services()["gateway-1"]["depends_on"].items()}
    assert wanted == {
        "rabbitmq": "service_healthy",
        "postgres": "service_healthy",
        "migrate": "service_completed_successfully",
        "directory": "service_healthy",
        "router": "service_healthy",
    }


def test_the_dockerfile_needs_no_frontend_from_a_registry_and_runs_as_nobody() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert not text.startswith("# syntax")
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 3
    assert "USER 10001:10001" in text
    assert "HEALTHCHECK" in text
    assert text.count("--require-hashes") == 2
