"""A gateway on free ports of 127.0.0.1 with the services it needs, and a raw client that says just what it is told."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import io
import re
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

from prometheus_client import CollectorRegistry

from aldis.core.bus.memory import MemoryBroker, MemoryBus
from aldis.core.bus.names import DIRECTORY, router_queue
from aldis.core.bus.port import Batch
from aldis.core.contracts.accounts import (
    AccountCommand,
    AccountResult,
    Authenticated,
    AuthRefused,
    DomainMechanisms,
    DomainMechanismsRequest,
    PlainVerifyRequest,
    ScramChallenge,
    ScramChallengeRequest,
    ScramVerifyRequest,
    SealKey,
    SealKeyRequest,
)
from aldis.core.contracts.base import Message
from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.sessions import Bind, BindRefused, Bound, CloseSession, Deliver, FromSession, Recipient, SessionEnd, Written
from aldis.core.seal import SealingKey, StaleKey, context
from aldis.core.service.clock import SystemClock
from aldis.core.service.logging import make_logger
from aldis.core.shards.members import GATEWAY
from aldis.core.xmpp.sasl import ScramHash, ScramKeys, derive, verify_proof
from aldis.gateway.app import Gateway
from aldis.gateway.settings import GatewaySettings

PASSWORDS = {"romeo": "wherefore", "juliet": "r0m30"}
ITERATIONS = 4096
SALT = b"sixteen bytes of"
SCRAM = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")


class FakeDirectory:
    """A second implementation of the directory's contract, for two users."""

    def __init__(self) -> None:
        self.key = SealingKey.generate()
        self.passwords = dict(PASSWORDS)
        self.registered: list[tuple[str, bytes]] = []
        self.refuse: AuthRefused | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self._keys: dict[tuple[str, ScramHash], ScramKeys] = {}

    def keys(self, user: str, algorithm: ScramHash) -> ScramKeys:
        found = self._keys.get((user, algorithm))
        if found is None:
            found = self._keys[user, algorithm] = derive(self.passwords[user], SALT, ITERATIONS, algorithm)
        return found

    async def answer(self, request: Message) -> Message:
        await self.gate.wait()
        match request:
            case SealKeyRequest():
                return SealKey(key=self.key.public)
            case DomainMechanismsRequest():
                return DomainMechanisms(scram=SCRAM)
            case ScramChallengeRequest():
                return ScramChallenge(salt=SALT, iterations=ITERATIONS)
            case ScramVerifyRequest(domain=domain, username=user) if user in self.passwords and self.refuse is None:
                algorithm = ScramHash.of_mechanism(request.mechanism)
                signature = verify_proof(self.keys(user, algorithm), algorithm, request.auth_message, request.proof)
                if signature is not None:
                    return Authenticated(account=f"{user}@{domain}", signature=signature)
            case PlainVerifyRequest(domain=domain, username=user) if self.refuse is None:
                try:
                    password = self.key.open(request.sealed, context("plain", domain, user))
                except StaleKey:
                    return AuthRefused(condition="temporary-auth-failure", stale_key=True)
                if self.passwords.get(user, "").encode() == password:
                    return Authenticated(account=f"{user}@{domain}")
            case AccountCommand(action="register"):
                password = self.key.open(request.sealed, context("register", request.account))
                user = request.account.partition("@")[0]
                if user in self.passwords:
                    return AccountResult(error="conflict", text="that name is taken")
                self.passwords[user] = password.decode()
                self.registered.append((request.account, password))
                return AccountResult()
        return self.refuse or AuthRefused(condition="not-authorized")


class FakeShard:
    """The sessions' owner: gives everybody what they ask for, and sends each message to whoever has its address."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.stanzas: list[Envelope] = []
        self.ended: list[SessionEnd] = []
        self.written: dict[str, int] = {}
        self.sessions: dict[str, tuple[str, str, int]] = {}
        """By full JID: session, gateway, generation."""
        self.numbers: dict[str, int] = {}
        self.refuse = b""
        self.hold = False
        self.held: list[Batch] = []

    def lost(self) -> None:
        raise AssertionError("nobody takes the shard away")

    def deliver(self, batch: Batch) -> None:
        for message in batch.messages:
            self.take(message)
        if self.hold:
            self.held.append(batch)
        else:
            batch.ack()

    def release(self) -> None:
        """Acknowledge in order what was held back."""
        while self.held:
            self.held.pop(0).ack()
        self.hold = False

    def take(self, message: Message) -> None:
        match message:
            case Bind():
                self._bind(message)
            case FromSession(stanza=stanza):
                self.stanzas.append(stanza)
                if stanza.to in self.sessions:
                    self.send(stanza.to, stanza)
            case SessionEnd():
                self.ended.append(message)
                self.sessions.pop(message.jid, None)
            case Written(sessions=sessions):
                for _, session, number in sessions:
                    self.written[session] = number

    def _bind(self, message: Bind) -> None:
        session, generation = message.origin.session, message.generation
        answers: dict[str, Any] = {"shard": 0, "epoch": 1, "session": session, "generation": generation, "n": message.origin.n}
        if self.refuse:
            self.bus.publish(message.gateway, BindRefused(error=self.refuse, **answers))
            return
        jid = f"{message.account}/{message.resource or 'made-up'}"
        self.sessions[jid] = (session, message.gateway, generation)
        self.bus.publish(message.gateway, Bound(jid=jid, **answers))

    def send(self, jid: str, stanza: Envelope) -> None:
        session, gateway, generation = self.sessions[jid]
        number = self.numbers[session] = self.numbers.get(session, 0) + 1
        recipient = Recipient(session, generation, number, jid)
        self.bus.publish(gateway, Deliver(shard=0, epoch=1, mark=1, acked=0, effect="", stanza=stanza, recipients=(recipient,)))

    def close(self, jid: str, condition: str, text: str = "") -> None:
        session, gateway, generation = self.sessions[jid]
        self.bus.publish(gateway, CloseSession(shard=0, epoch=1, session=session, generation=generation, condition=condition, text=text))


class FakeRolls:
    """The registry of processes, in memory."""

    def __init__(self) -> None:
        self.queues: dict[str, str] = {}

    async def agree(self, shards: int) -> None:
        assert shards == 1

    async def join(self, member: str, kind: str, queue: str) -> None:
        assert kind == GATEWAY
        self.queues[member] = queue

    async def renew(self, member: str) -> bool:
        return member in self.queues

    async def leave(self, member: str) -> None:
        self.queues.pop(member, None)


class House:
    """The gateway under test and what stands around it."""

    def __init__(self, settings: GatewaySettings, *, level: str = "debug") -> None:
        self.settings = settings
        self.broker = MemoryBroker()
        self.directory = FakeDirectory()
        self.shard = FakeShard(self.broker.connect("shard"))
        self.rolls = FakeRolls()
        self.lines = io.StringIO()
        self.dropped: list[str] = []
        self.registry = CollectorRegistry()
        self.gateway = Gateway(
            settings=settings,
            bus=self.broker.connect("gw1"),
            rolls=self.rolls,
            shards=1,
            clock=SystemClock(),
            registry=self.registry,
            drop=self.dropped.append,
            log=make_logger(level, "human", self.lines),
            any_port=True,
        )

    async def __aenter__(self) -> Self:
        bus = self.shard.bus
        await bus.respond(DIRECTORY, self.directory.answer)
        await bus.declare(router_queue(0))
        await bus.consume(router_queue(0), self.shard)
        await self.gateway.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.stop()

    @property
    def log(self) -> str:
        return self.lines.getvalue()

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    @contextlib.asynccontextmanager
    async def client(self, *, direct: bool = False, context: ssl.SSLContext | None = None) -> AsyncIterator["RawClient"]:
        client = RawClient()
        if direct:
            await client.connect(self.gateway.ports().tls_port, context or trusting())
        else:
            await client.connect(self.gateway.ports().port)
        try:
            yield client
        finally:
            await client.close()

    @contextlib.asynccontextmanager
    async def session(self, user: str = "juliet", resource: str = "balcony", *, tls: bool = True) -> AsyncIterator["RawClient"]:
        """A client that has logged in by PLAIN and bound."""
        async with self.client(direct=tls) as client:
            await client.log_in(user)
            await client.bind(resource)
            yield client


def make_settings(path: Path, *, clear: bool = False, limits: dict[str, Any] | None = None, **sections: Any) -> GatewaySettings:
    """Settings for 127.0.0.1; `clear` lets clients in without TLS."""
    c2s = {"host": "127.0.0.1", "port": 0, "tls_port": 5223, **sections.pop("c2s", {})}
    if clear:
        c2s |= {"require_tls": False, "plain_without_tls": True}
    data = {"domains": ("localhost", "capulet.lit"), "data_dir": path, "c2s": c2s, "limits": limits or {}, **sections}
    settings = GatewaySettings.model_validate(data)
    return settings.model_copy(update={"c2s": settings.c2s.model_copy(update={"port": 0, "tls_port": 0})})


def trusting(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A client's TLS that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    return context


class RawClient:
    """Bytes in, bytes out, with patience of five seconds."""

    def __init__(self) -> None:
        self.seen = ""
        self.received = ""
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def connect(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)

    async def close(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()

    def send(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)

    def open(self, to: str = "localhost") -> None:
        self.send(
            f"<?xml version='1.0'?><stream:stream to='{to}' version='1.0' xmlns='jabber:client' "
            "xmlns:stream='http://etherx.jabber.org/streams'>"
        )

    async def until(self, pattern: str, seconds: float = 5.0) -> str:
        """Read until the pattern is there; return everything up to it, and forget that."""
        async with asyncio.timeout(seconds):
            while (match := re.search(pattern, self.seen, re.DOTALL)) is None:
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError(f"no {pattern} in {self.seen!r}")
                self.seen += data.decode()
        found, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return found

    async def until_closed(self, seconds: float = 8.0) -> str:
        """Read to the end of the connection; return what had not been looked at."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            async with asyncio.timeout(seconds):
                while data := await self.reader.read(65536):
                    self.seen += data.decode()
        found, self.seen = self.seen, ""
        return found

    async def features(self, to: str = "localhost") -> str:
        self.open(to)
        return await self.until("</stream:features>")

    async def starttls(self, context: ssl.SSLContext | None = None) -> None:
        self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self.until("<proceed[^>]*/>")
        await self.writer.start_tls(context or trusting())

    @property
    def tls(self) -> ssl.SSLObject:
        found = self.writer.get_extra_info("ssl_object")
        assert isinstance(found, ssl.SSLObject)
        return found

    def end_point(self) -> bytes:
        """The tls-server-end-point binding."""
        certificate = self.tls.getpeercert(binary_form=True)
        assert certificate is not None
        return hashlib.sha256(certificate).digest()

    # ── SASL ──

    def auth(self, mechanism: str, data: bytes | None) -> None:
        text = "" if data is None else base64.b64encode(data).decode() or "="
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>")

    def respond(self, data: bytes) -> None:
        self.send(f"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{base64.b64encode(data).decode() or '='}</response>")

    async def challenge(self) -> bytes:
        found = await self.until(r"<challenge[^>]*>[^<]*</challenge>|<failure.*</failure>")
        match = re.search(r"<challenge[^>]*>([^<]*)</challenge>", found)
        assert match is not None, found
        return b"" if match[1] == "=" else base64.b64decode(match[1])

    async def outcome(self) -> str:
        return await self.until(r"<success[^>]*/>|<success.*</success>|<failure.*</failure>")

    async def plain(self, user: str, password: str, authzid: str = "") -> str:
        self.auth("PLAIN", f"{authzid}\0{user}\0{password}".encode())
        return await self.outcome()

    async def scram(self, mechanism: str, user: str, password: str, binding: tuple[str, bytes] | None = None, flag: str = "") -> str:
        """A whole exchange; the answer's signature is checked."""
        name = mechanism.removeprefix("SCRAM-").removesuffix("-PLUS").replace("-", "").lower()
        header = (f"p={binding[0]}" if binding else flag or "n") + ",,"
        bare = f"n={user},r={secrets.token_hex(8)}"
        self.auth(mechanism, (header + bare).encode())
        first = (await self.challenge()).decode()
        parts = dict(part.split("=", 1) for part in first.split(","))
        salted = hashlib.pbkdf2_hmac(name, password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
        channel = base64.b64encode(header.encode() + (binding[1] if binding else b"")).decode()
        without = f"c={channel},r={parts['r']}"
        message = f"{bare},{first},{without}".encode()
        client_key = hmac.digest(salted, b"Client Key", name)
        signature = hmac.digest(hashlib.new(name, client_key).digest(), message, name)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self.respond(f"{without},p={base64.b64encode(proof).decode()}".encode())
        found = await self.outcome()
        if match := re.search(r"<success[^>]*>([^<]+)</success>", found):
            server = hmac.digest(hmac.digest(salted, b"Server Key", name), message, name)
            assert base64.b64decode(match[1]) == b"v=" + base64.b64encode(server)
        return found

    async def log_in(self, user: str = "juliet") -> None:
        await self.features()
        assert "<success" in await self.plain(user, PASSWORDS[user])
        await self.features()

    async def bind(self, resource: str = "balcony") -> str:
        wanted = f"<resource>{resource}</resource>" if resource else ""
        self.send(f"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{wanted}</bind></iq>")
        return await self.until("</iq>")


async def eventually(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
