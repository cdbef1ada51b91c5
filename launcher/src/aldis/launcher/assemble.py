"""The whole server in one process, put together by hand: every service, one bus in memory, one database."""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry

from aldis.core.bus.memory import MemoryBroker
from aldis.core.policy import NoPolicy
from aldis.core.service.bus_figures import BusFigures
from aldis.core.service.dropped import Dropped
from aldis.core.service.process import Part
from aldis.core.service.run import Host
from aldis.core.shards.leases import Pace
from aldis.core.shards.registry import SqlRegistry
from aldis.core.storage import Database
from aldis.directory.app import Directory
from aldis.gateway.app import Gateway
from aldis.launcher.buses import Buses, Connections
from aldis.launcher.settings import AldisSettings, check_shards
from aldis.launcher.store import Store
from aldis.router.app import Router


@dataclass(frozen=True, slots=True)
class Topology:
    """How many of each; tests run several of what otherwise is one."""

    routers: int = 1
    gateways: int = 1
    shards: int = 1


ONE: Final = Topology()


class OneProcess:
    """Every service of `aldis serve`; `parts` has them in the order in which they start."""

    def __init__(
        self,
        host: Host[AldisSettings],
        *,
        topology: Topology = ONE,
        broker: MemoryBroker | None = None,
        buses: Connections | None = None,
        durable: bool = True,
        any_port: bool = False,
        pace: Pace | None = None,
    ) -> None:
        """For tests: a `broker` with faults or `buses` on another one, `durable=False` without fsync, `any_port` on free ports,
        a `pace` to look for the dead.

        Raises `SettingsError`.
        """
        settings = host.settings
        check_shards(settings, topology.shards)
        self.host = host
        self.topology = topology
        self._any_port = any_port
        self._pace = pace
        self.database = Database(settings.database.url.get_secret_value(), durable=durable)
        self.registry = SqlRegistry(self.database)
        self.broker = broker or MemoryBroker()
        self.broker.sent = BusFigures(host.registry).sent
        self.buses = buses or Buses(self.broker)
        self.directory = Directory(
            settings=settings, bus=self.buses.connect("d"), database=self.database, clock=host.clock, registry=host.registry, log=host.log
        )
        self.dropped = Dropped(host.registry)
        self.routers = [self._router(index) for index in range(topology.routers)]
        self.broker.dropped = lambda count: self.dropped("no-queue", count)
        self.gateways = [self._gateway(index) for index in range(topology.gateways)]

    @property
    def parts(self) -> list[Part]:
        """Gateways come last, so that nobody connects before everything is there."""
        return [Store(self.database), self.buses, self.directory, *self.routers, *self.gateways]

    def _router(self, index: int) -> Router:
        host = self.host
        return Router(
            settings=host.settings,
            bus=self.buses.connect("r"),
            database=self.database,
            clock=host.clock,
            registry=self._metrics(index),
            policy=NoPolicy(),
            process=host.process,
            drop=self.dropped,
            log=host.log,
            pace=self._pace,
            journal=self.topology == ONE,
        )

    def _gateway(self, index: int) -> Gateway:
        host = self.host
        settings = host.settings
        if self._any_port:
            settings = settings.model_copy(update={"c2s": settings.c2s.model_copy(update={"port": 0, "tls_port": 0})})
        gateway = Gateway(
            settings=settings,
            bus=self.buses.connect("g"),
            rolls=self.registry,
            shards=self.topology.shards,
            clock=host.clock,
            registry=self._metrics(index),
            drop=self.dropped,
            log=host.log,
            any_port=self._any_port,
        )
        host.process.on_reload("certificate", gateway.reload)
        return gateway

    def _metrics(self, index: int) -> CollectorRegistry:
        """The process's metrics for the first of a kind; each further one counts for itself."""
        return self.host.registry if index == 0 else CollectorRegistry()
