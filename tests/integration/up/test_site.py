"""Processes that tell how they are, and the command that asks them, over the bus in memory."""

from aldis.core.bus.memory import MemoryBroker, MemoryBus
from aldis.core.contracts.operation import Listening, Session, Shard
from aldis.core.service.clock import SystemClock
from aldis.core.service.health import Readiness
from aldis.core.service.operated import Operated, State
from aldis.core.shards.members import Owned
from aldis.launcher import site


def process(bus: MemoryBus, name: str, state: State, sessions: list[Session] | None = None) -> Operated:
    """A process of this state."""
    readiness = Readiness()
    readiness.set("process", None)
    return Operated(name.partition(".")[0], name, bus, SystemClock(), readiness, lambda: state, lambda: sessions or [])


async def test_every_process_answers_with_what_it_knows() -> None:
    broker = MemoryBroker()
    gateway = process(broker.connect("g1"), "gateway.1", State(sessions=3, listening=(Listening("TLS", "*", 5223),)))
    router = process(broker.connect("r1"), "router.1", State(sessions=3, shards=(Shard(0, 7, 3, 1, 0.5, 4, 400),)))
    for part in (gateway, router):
        await part.start()
    bus = broker.connect("o1")
    await bus.declare("aldis.router.0")
    answers = await site.ask(bus, sessions=False, quiet=0.1)
    assert set(answers.processes) == {"g1", "r1"}
    assert answers.processes["g1"].name == "gateway.1"
    assert not answers.processes["g1"].not_ready
    assert site.listening(answers.processes) == [{"name": "TLS", "host": "*", "port": 5223, "process": "gateway.1"}]
    found = await site.shards(bus, {0: Owned(7, "r1"), 1: Owned(3, "r0"), 2: Owned(4, None)}, answers.processes)
    assert found[0] == {
        "shard": 0, "epoch": 7, "owner": "r1", "process": "router.1", "sessions": 3, "turns": 1, "oldest_seconds": 0.5, "held": 4,
        "held_bytes": 400, "waiting": 0, "consumers": 0,
    }  # fmt: skip
    assert found[1]["silent"]
    assert found[1]["waiting"] is None
    assert not found[2]["silent"]


async def test_many_sessions_come_in_parts() -> None:
    broker = MemoryBroker()
    sessions = [Session(f"juliet@localhost/{number}", "192.0.2.1:1") for number in range(1234)]
    router = process(broker.connect("r1"), "router.1", State(sessions=len(sessions)), sessions)
    await router.start()
    answers = await site.ask(broker.connect("o1"), sessions=True, quiet=0.1)
    assert answers.sessions == sessions


async def test_nobody_there_is_an_answer_too() -> None:
    answers = await site.ask(MemoryBroker().connect("o1"), sessions=False, longest=0.2)
    assert answers.processes == {}


async def test_who_has_stopped_answers_no_more() -> None:
    broker = MemoryBroker()
    gateway = process(broker.connect("g1"), "gateway.1", State())
    await gateway.start()
    await gateway.stop()
    assert (await site.ask(broker.connect("o1"), sessions=False, longest=0.2)).processes == {}
