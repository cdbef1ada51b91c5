"""Which processes `aldis up` runs: their commands, names, ports and order."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aldis.launcher.keeper import Child
from aldis.launcher.settings import AldisSettings

PORTS_OF_A_GATEWAY: Final = 2
BLOCK: Final = 20
"""Ports between the metrics of the first gateway, the first router and the first directory: more than there may be of one kind."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a process listens on; 0 = nothing."""

    metrics: int
    port: int = 0
    tls_port: int = 0


def ports(settings: AldisSettings, service: str, index: int) -> Ports:
    """The ports of the `index`th process of a service, counted from 1; the same however many others there are."""
    block = ("gateway", "router", "directory").index(service)
    metrics = settings.metrics.port + block * BLOCK + index if settings.metrics.port else 0
    if service != "gateway":
        return Ports(metrics)
    higher = PORTS_OF_A_GATEWAY * (index - 1)
    c2s = settings.c2s
    return Ports(metrics, c2s.port + higher if c2s.port else 0, c2s.tls_port + higher if c2s.tls_port else 0)


def listened(settings: AldisSettings) -> Iterator[tuple[str, str, int]]:
    """(setting, host, port) of everything that will be listened on."""
    if settings.metrics.port:
        yield "metrics.port", settings.metrics.host, settings.metrics.port
    for service, count in counts(settings):
        for index in range(1, count + 1):
            own = ports(settings, service, index)
            if own.metrics:
                yield f"metrics.port of {service}.{index}", settings.metrics.host, own.metrics
            if own.port:
                yield f"c2s.port of {service}.{index}", settings.c2s.host, own.port
            if own.tls_port:
                yield f"c2s.tls_port of {service}.{index}", settings.c2s.host, own.tls_port


def counts(settings: AldisSettings) -> tuple[tuple[str, int], ...]:
    """How many of each service, in the order in which they start: nobody connects before everything is there."""
    up = settings.up
    return (("directory", up.directories), ("router", up.routers), ("gateway", up.gateways))


def ranks(settings: AldisSettings, config: Path | None, environ: Mapping[str, str], notify: str) -> list[list[Child]]:
    """The processes, rank by rank."""
    return [
        [_child(settings, service, index, config, environ, notify) for index in range(1, count + 1)] for service, count in counts(settings)
    ]


def _child(settings: AldisSettings, service: str, index: int, config: Path | None, environ: Mapping[str, str], notify: str) -> Child:
    name = f"{service}.{index}"
    own = ports(settings, service, index)
    command = [sys.executable, "-m", f"aldis.{service}", "--name", name, "--parent", str(os.getpid())]
    if config is not None:
        command += ["--config", str(config)]
    overrides = {"ALDIS_METRICS__PORT": str(own.metrics), "NOTIFY_SOCKET": notify}
    if service == "gateway":
        overrides |= {"ALDIS_C2S__PORT": str(own.port), "ALDIS_C2S__TLS_PORT": str(own.tls_port)}
    return Child(name, tuple(command), {**environ, **overrides})
