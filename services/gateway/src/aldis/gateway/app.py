"""The gateway put together by hand: what it listens on, whom it asks, and what runs."""

import asyncio
import contextlib
import resource
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from random import SystemRandom
from typing import Final

from prometheus_client import CollectorRegistry

from aldis.core.bus import Bus, Subscription
from aldis.core.bus.names import OPERATION, gateway_queue
from aldis.core.contracts.base import Message
from aldis.core.contracts.operation import Trace
from aldis.core.service.clock import Clock
from aldis.core.service.logging import Logger
from aldis.core.shards.hub import Hub
from aldis.core.shards.leases import Pace
from aldis.core.shards.means import Means
from aldis.core.shards.members import GATEWAY, Rolls
from aldis.core.shards.membership import Membership
from aldis.core.shards.seat import Seat
from aldis.core.xmpp.errors.stream import SystemShutdown
from aldis.core.xmpp.feature import Feature
from aldis.core.xmpp.stream.settings import C2sSettings
from aldis.gateway.context import Context, Directory
from aldis.gateway.context.directory import Unavailable
from aldis.gateway.context.offers import Offers
from aldis.gateway.domain.admission import Admission
from aldis.gateway.features import (
    xep_0077_registration,
    xep_0198_stream_management,
    xep_0368_direct_tls,
    xep_0440_channel_binding_types,
)
from aldis.gateway.net.board import Board
from aldis.gateway.net.c2s import C2s
from aldis.gateway.net.c2s_settings import stream_settings
from aldis.gateway.net.certificates import CertificateFiles, CertificateProblem, CertificateStore, ensure_self_signed
from aldis.gateway.net.figures import Figures
from aldis.gateway.net.listening import BACKLOG, listen
from aldis.gateway.net.shelf import Shelved
from aldis.gateway.net.tls_gate import HandshakeGate
from aldis.gateway.settings import GatewaySettings

FEATURES: Final[tuple[Feature[Context], ...]] = (
    xep_0077_registration.feature,
    xep_0198_stream_management.feature,
    xep_0368_direct_tls.feature,
    xep_0440_channel_binding_types.feature,
)
"""What the gateway adds to streams, for the list of XEPs."""

SWEEP_SECONDS: Final = 5.0
CHORES_SECONDS: Final = 60.0
ASK_AGAIN: Final = 0.5
STEP: Final = 50
"""Streams that are closed at once when the gateway stops, so that their clients do not all come back in the same instant."""
MOST_STEPS: Final = 100
STEP_SECONDS: Final = 0.02
DRAIN_SECONDS: Final = 5.0
CUT_SECONDS: Final = 1.0
KEPT_SECONDS: Final = 3.0
"""How long shards have to write down the sessions that wait for their clients; then they find out by themselves."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What is listened on; 0 where nothing is."""

    port: int
    tls_port: int


@dataclass(frozen=True, slots=True)
class Status:
    """For `aldis status`."""

    ports: Ports
    connections: int
    sessions: int
    certificates: dict[str, float]
    """Until when each is good, in seconds since 1970."""


class Gateway:
    """The service: start it, and clients can connect until it is stopped."""

    name: Final = "gateway"

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        bus: Bus,
        rolls: Rolls,
        shards: int,
        clock: Clock,
        registry: CollectorRegistry,
        drop: Callable[[str], None],
        log: Logger,
        pace: Pace | None = None,
        any_port: bool = False,
    ) -> None:
        """`drop` counts aldis_dropped_total, which the services of one process share; `any_port`, for tests, listens on free ports.

        `rolls` is where shards find this gateway; `pace` is for processes that are apart.
        """
        self._settings = settings
        self._bus = bus
        self._membership = Membership(rolls, bus, GATEWAY, log)
        self._pace = pace
        self._rolls = rolls
        self._means = Means(bus, shards, clock.now, clock.time, drop, log)
        self._figures = Figures(registry)
        self._log = log
        self._any_port = any_port
        self._directory = Directory(bus)
        self._offers = Offers(self._directory, settings.domains, plain_without_tls=settings.c2s.plain_without_tls)
        self._board: Board | None = None
        self._seat: Seat | None = None
        self._ear: Subscription | None = None
        self._servers: list[asyncio.Server] = []
        self._ports = Ports(0, 0)
        self._chores: list[asyncio.Task[None]] = []

    # ── start and stop ──

    async def start(self) -> None:
        """Load the certificate, ask the directory how to log in, make the queue known, then listen."""
        if self._pace is not None:
            await self._rolls.agree(self._means.shards)
        files = await asyncio.to_thread(self._certificate_files)
        certificates = await asyncio.to_thread(CertificateStore, files, self._settings.domains)
        self._tell(certificates)
        await self._ask_directory()
        hub = Hub(self._means, gateway_queue(self._bus.incarnation, self._bus.connection))
        board = self._board = self._make_board(hub, certificates)
        hub.flush = board.flush
        hub.resumption.shelf = lambda link: Shelved(board, link)
        self._bus.on_relief(board.relieved)
        seat = self._seat = Seat(self._bus, hub, self._membership, self._log)
        await seat.take()
        self._ear = await self._bus.listen(OPERATION, self._heard)
        await self._listen(board)
        loop = board.loop
        self._chores = [
            loop.create_task(self._every(CHORES_SECONDS, self._look_after_files)),
            loop.create_task(self._every(CHORES_SECONDS, self._refresh_offers)),
            loop.create_task(self._every(SWEEP_SECONDS, self._sweep)),
        ]
        if self._pace is not None:
            self._chores.append(loop.create_task(self._every(self._pace.beat, seat.keep)))

    async def stop(self) -> None:
        """Take nobody new, send everybody off in small steps, and tell the shards what was written."""
        for server in self._servers:
            server.close()
        for chore in self._chores:
            chore.cancel()
        if self._board is not None:
            await self._send_off(self._board)
        if self._seat is not None:
            await self._seat.leave()
        if self._board is not None:
            self._board.hub.resumption.leave_behind()
        if self._ear is not None:
            await self._ear.cancel()
        self._servers, self._chores, self._seat, self._ear = [], [], None, None

    def _heard(self, message: Message) -> None:
        """What an operator says to all processes."""
        if isinstance(message, Trace) and self._board is not None:
            self._board.traced.begin(message.account, message.seconds, self._board.loop.time())
            if message.seconds:
                self._log.info("trace.begun", account=message.account, seconds=message.seconds)
            else:
                self._log.info("trace.ended", account=message.account)

    async def reload(self) -> None:
        """Read the certificate again (SIGHUP); raises `CertificateProblem`, and then the old one stays."""
        if self._board is not None:
            await self._load_again(self._board.certificates)

    def ports(self) -> Ports:
        """What is listened on."""
        return self._ports

    def status(self) -> Status:
        """How it is."""
        dates = self._board.certificates.expiry() if self._board is not None else {}
        return Status(self._ports, int(self._figures.connections.n), int(self._figures.sessions.n), dates)

    # ── making ──

    def _make_board(self, hub: Hub, certificates: CertificateStore) -> Board:
        loop = asyncio.get_running_loop()
        limits = self._settings.limits
        gate = HandshakeGate(loop)
        self._figures.watch(lambda: gate.waiting)
        return Board(
            loop=loop,
            context=Context(self._settings, self._directory, self._log),
            hub=hub,
            streams=self._stream_settings(),
            certificates=certificates,
            gate=gate,
            admission=Admission(
                connections=limits.connections,
                per_address=limits.connections_per_address,
                per_minute=limits.connections_per_address_per_minute,
            ),
            figures=self._figures,
        )

    def _stream_settings(self) -> C2sSettings:
        return stream_settings(self._settings, self._offers.mechanisms, lambda: secrets.token_hex(12))

    async def _ask_directory(self) -> None:
        """Wait for the directory; how long is for whoever starts the parts to say."""
        told = False
        while True:
            try:
                await self._offers.refresh()
            except Unavailable as problem:
                if not told:
                    self._log.warning("directory.awaited", reason=str(problem))
                told = True
                await asyncio.sleep(ASK_AGAIN)
            else:
                return

    async def _listen(self, board: Board) -> None:
        self._allow_files()
        c2s = self._settings.c2s
        ports = {}
        for setting, port, direct in (("port", c2s.port, False), ("tls_port", c2s.tls_port, True)):
            if not port and not self._any_port:
                ports[setting] = 0
                continue
            sockets = listen(c2s.host, port, f"c2s.{setting}")
            self._servers += [await self._serve(board, sock, direct=direct) for sock in sockets]
            ports[setting] = int(sockets[0].getsockname()[1])
            self._log.info("c2s.listening", host=c2s.host, port=ports[setting], tls="direct" if direct else "starttls")
        self._ports = Ports(ports["port"], ports["tls_port"])

    @staticmethod
    async def _serve(board: Board, sock: socket.socket, *, direct: bool) -> asyncio.Server:
        return await board.loop.create_server(lambda: C2s(board, direct=direct), sock=sock, backlog=BACKLOG)

    def _allow_files(self) -> None:
        """Take as many open files as this process may have: each connection is one."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        wanted = self._settings.limits.connections + 100
        if self._settings.limits.connections and soft != resource.RLIM_INFINITY and soft < wanted:
            self._log.warning("limits.files", open_files=soft, connections=self._settings.limits.connections, mend="raise LimitNOFILE")

    # ── what is done from time to time ──

    async def _every(self, seconds: float, chore: Callable[[], "object"]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                result = chore()
                if asyncio.iscoroutine(result):
                    await result
            except Exception:  # noqa: BLE001  the next time may be better
                self._log.exception("chore.failed")

    async def _refresh_offers(self) -> None:
        try:
            await self._offers.refresh()
        except Unavailable as problem:
            self._log.warning("directory.silent", reason=str(problem))

    async def _sweep(self) -> None:
        """Look after all connections, some in each turn of the loop."""
        board = self._board
        if board is None:
            return
        for number, connection in enumerate(list(board.connections), start=1):
            connection.look_after(board.loop.time())
            if number % 500 == 0:
                await asyncio.sleep(0)

    async def _look_after_files(self) -> None:
        if self._board is None:
            return
        certificates = self._board.certificates
        try:
            await asyncio.to_thread(self._certificate_files)  # a self-signed one is renewed in time
            if await asyncio.to_thread(certificates.changed):
                await self._load_again(certificates)
        except CertificateProblem as problem:
            self._log.warning("certificate.refused", reason=str(problem))

    # ── certificates ──

    def _certificate_files(self) -> tuple[CertificateFiles, ...]:
        tls = self._settings.tls
        if tls.certificate is not None and tls.key is not None:
            return (CertificateFiles(tls.certificate, tls.key),)
        return (CertificateFiles(*ensure_self_signed(self._settings.data_dir, self._settings.domains)),)

    async def _load_again(self, certificates: CertificateStore) -> None:
        problem = await asyncio.to_thread(certificates.reload)
        if problem is not None:
            raise problem
        self._log.info("certificate.loaded")
        self._tell(certificates)

    def _tell(self, certificates: CertificateStore) -> None:
        for warning in certificates.warnings:
            self._log.warning("certificate.warning", text=warning)
        self._figures.expires(certificates.expiry())

    # ── the end ──

    async def _send_off(self, board: Board) -> None:
        """Close the streams in small steps, then wait until the connections are gone, but not for ever.

        Sessions whose clients may come back to another gateway are not ended.
        """
        jitter = SystemRandom()
        until = board.loop.time() + DRAIN_SECONDS
        step = max(STEP, len(board.connections) // MOST_STEPS)
        for number, connection in enumerate(list(board.connections), start=1):
            connection.shut(SystemShutdown())
            if number % step == 0 and board.loop.time() < until:
                await asyncio.sleep(STEP_SECONDS * jitter.uniform(0.5, 1.5))
        board.flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await board.empty.wait()
        for connection in list(board.connections):
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CUT_SECONDS):
                await board.empty.wait()
        if board.tasks:
            await asyncio.wait(board.tasks, timeout=CUT_SECONDS)
        board.hub.report()
        for link in list(board.hub.links.values()):
            if not link.previd:
                board.hub.end(link)
        board.hub.resumption.leave()
        await asyncio.sleep(0)  # what was published goes out in the next turn
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEPT_SECONDS):
                while board.hub.links:  # noqa: ASYNC110  shards tell of each session
                    await asyncio.sleep(KEPT_SECONDS / 100)
