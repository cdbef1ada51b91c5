"""A running directory over the memory bus and a real database, and those around it who ask and are told."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from scramp import ScramClient  # type: ignore[import-untyped]

from aldis.core.bus import Batch
from aldis.core.bus.faults import Faults
from aldis.core.bus.memory import MemoryBroker
from aldis.core.bus.names import DIRECTORY, router_queue
from aldis.core.contracts.accounts import (
    AccountCommand,
    AccountDeleted,
    AccountExists,
    AccountExistsRequest,
    AccountForgotten,
    AccountResult,
    Authenticated,
    PlainVerifyRequest,
    ScramChallenge,
    ScramChallengeRequest,
    ScramVerifyRequest,
    SealKey,
    SealKeyRequest,
)
from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope, Flag, Kind
from aldis.core.contracts.services import IqRequest, IqResult
from aldis.core.seal import context, seal
from aldis.core.service.clock import ManualClock
from aldis.core.service.logging import make_logger
from aldis.core.storage import Database
from aldis.core.storage.migrations import migrate
from aldis.core.xmpp.sasl.scram_server import ScramServer
from aldis.directory.app import Directory, migrations
from aldis.directory.settings import Directory as Options
from aldis.directory.settings import DirectorySettings, Registration
from tests.support.stores import Stores

JULIET = "juliet@capulet.lit"


class Shard:
    """A router's shard as far as the directory sees it: notes what comes, and forgets accounts when it is to."""

    def __init__(self, town: "Town", number: int, *, forgets: bool) -> None:
        self.heard: list[Message] = []
        self._town = town
        self._queue = router_queue(number)
        self._forgets = forgets
        self._owning: asyncio.Task[None] | None = None

    async def own(self) -> None:
        """Take over the shard's queue."""
        await self._town.router.declare(self._queue)
        await self._town.router.consume(self._queue, self)

    def deliver(self, batch: Batch) -> None:
        """Take what comes."""
        for message in batch.messages:
            self.heard.append(message)
            if self._forgets and isinstance(message, AccountDeleted):
                self._town.router.publish(message.reply_to, AccountForgotten(account=message.account, service="router"))
        batch.ack()

    def lost(self) -> None:
        """Start again, as a router that died."""
        self._owning = asyncio.get_running_loop().create_task(self.own())


class Town:
    """The directory, a gateway's and a router's questions to it, and a clock that is moved by hand."""

    def __init__(self, path: Path, url: str, faults: Faults | None = None) -> None:
        self.path = path
        self.url = url
        self.clock = ManualClock()
        self.logged = io.StringIO()
        self.database = Database(url, durable=False)
        self.broker = MemoryBroker(faults)
        self.router = self.broker.connect("router-1")
        self.domains: tuple[str, ...] = ("capulet.lit", "montague.lit")
        self.key = b""
        self._runs = 0

    async def begin(self, **settings: Any) -> None:
        """Run the directory with these settings."""
        self._runs += 1
        self.registry = CollectorRegistry()
        chosen = {"directory": Options(iterations=4096), **settings}
        self.directory = Directory(
            settings=DirectorySettings(domains=self.domains, data_dir=self.path, **chosen),
            bus=self.broker.connect(f"directory-{self._runs}"),
            database=self.database,
            clock=self.clock,
            registry=self.registry,
            log=make_logger("info", "json", self.logged, now=self.clock.time),
        )
        await self.directory.start()
        answer = await self.ask(SealKeyRequest())
        assert isinstance(answer, SealKey)
        self.key = answer.key

    async def again(self, **settings: Any) -> None:
        """Stop the directory and run it anew, with other settings."""
        await self.directory.stop()
        await self.begin(**settings)

    async def close(self) -> None:
        """Stop everything."""
        await self.directory.stop()
        await self.database.close()

    async def ask(self, message: Message) -> Message:
        """Ask the directory."""
        return await self.router.request(DIRECTORY, message, deadline=5)

    async def do(self, action: str, account: str = JULIET, password: str | None = None, peer: str = "192.0.2.1") -> AccountResult:
        """Do something to an account."""
        sealed = b"" if password is None else seal(self.key, password.encode(), context(action, account))
        answer = await self.ask(AccountCommand(action=action, account=account, sealed=sealed, peer=peer))
        assert isinstance(answer, AccountResult)
        return answer

    async def exists(self, account: str = JULIET) -> AccountExists:
        """Ask for an account."""
        answer = await self.ask(AccountExistsRequest(account=account))
        assert isinstance(answer, AccountExists)
        return answer

    async def plain(self, username: str, password: str | bytes, peer: str = "192.0.2.1") -> Message:
        """Log in by PLAIN."""
        raw = password.encode() if isinstance(password, str) else password
        sealed = seal(self.key, raw, context("plain", "capulet.lit", username))
        return await self.ask(PlainVerifyRequest(domain="capulet.lit", username=username, sealed=sealed, peer=peer))

    async def lets_in(self, password: str) -> bool:
        """Whether the password is Juliet's."""
        return isinstance(await self.plain("juliet", password), Authenticated)

    async def challenge(self, username: str, mechanism: str = "SCRAM-SHA-256", domain: str = "capulet.lit") -> ScramChallenge:
        """Ask for salt and iteration count."""
        answer = await self.ask(ScramChallengeRequest(domain=domain, username=username, mechanism=mechanism))
        assert isinstance(answer, ScramChallenge)
        return answer

    async def scram(self, username: str, password: str, mechanism: str = "SCRAM-SHA-256") -> Message:
        """Log in by SCRAM, with scramp as the client, which checks the server's signature."""
        client = ScramClient([mechanism], username, password)
        server = ScramServer(mechanism, server_nonce="a-server-nonce", bindings={})
        who = server.first(client.get_client_first().encode()).username
        challenge = await self.challenge(who, mechanism)
        client.set_server_first(server.challenge(challenge.salt, challenge.iterations).decode())
        claim = server.final(client.get_client_final().encode())
        answer = await self.ask(
            ScramVerifyRequest(
                domain="capulet.lit",
                username=who,
                mechanism=mechanism,
                auth_message=claim.auth_message,
                proof=claim.proof,
                peer="192.0.2.1",
            )
        )
        if isinstance(answer, Authenticated):
            client.set_server_final(server.success(answer.signature).decode())
        return answer

    async def iq(
        self,
        type: str,  # noqa: A002  the attribute's name
        children: str,
        *,
        sender: str = f"{JULIET}/balcony",
        to: str = "capulet.lit",
        seal_for: str = "",
    ) -> IqResult:
        """Hand over an IQ as the router does; `seal_for` is the account for which the gateway sealed its payload."""
        payload, flags = children.encode(), 0
        if seal_for:
            key = await self.ask(SealKeyRequest())
            assert isinstance(key, SealKey)
            payload, flags = seal(key.key, payload, context("iq", seal_for)), int(Flag.SEALED)
        stanza = Envelope(Kind.IQ, type, "r1", sender, to, payload, (), Origin("gateway-1/1", 1), flags)
        answer = await self.ask(IqRequest(stanza=stanza))
        assert isinstance(answer, IqResult)
        return answer

    async def shard(self, number: int = 0, *, forgets: bool = False) -> Shard:
        """Own a shard of users."""
        shard = Shard(self, number, forgets=forgets)
        await shard.own()
        return shard

    async def until(self, holds: Callable[[], object]) -> None:
        """Let time pass until something holds."""
        async with asyncio.timeout(20):
            while not holds():
                self.clock.advance(0.01)
                await asyncio.sleep(0.01)

    def sample(self, name: str, **labels: str) -> float:
        """Read a metric."""
        return self.registry.get_sample_value(name, labels) or 0


@pytest.fixture(scope="session")
def tables(stores: Stores) -> str:
    """Make a database with the directory's tables, once, because that takes as long as ten tests."""

    async def furnish(url: str) -> None:
        database = Database(url, durable=False)
        await database.open()
        await migrate(database, [migrations()])
        await database.close()

    return asyncio.run(stores.template(furnish))


@pytest.fixture
async def bare_town(tmp_path: Path, stores: Stores, tables: str, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    """A database without accounts; the directory is yet to begin. Where `fault_seed` is taken, the bus obeys it."""
    seed: int | None = request.getfixturevalue("fault_seed") if "fault_seed" in request.fixturenames else None
    async with stores.copy(tables, tmp_path) as url:
        town = Town(tmp_path, url, None if seed is None else Faults(seed))
        await town.database.open()
        yield town
        await town.close()


@pytest.fixture
async def town(bare_town: Town) -> Town:
    """A directory that has Juliet, and lets strangers register."""
    await bare_town.begin(registration=Registration(enabled=True))
    assert await bare_town.do("add", password="Rosaline") == AccountResult()
    return bare_town
