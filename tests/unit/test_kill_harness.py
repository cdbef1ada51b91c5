"""The kill test's own parts: a harness that can't turn red proves nothing."""

import asyncio

import pytest

from tests.kill.acks import Acks, Disagreement, Sent
from tests.kill.ledger import Ledger
from tests.kill.load import Load
from tests.kill.report import table
from tests.support.scripted_xmpp import Errors, ScriptedServer


def ledger() -> Ledger:
    made = Ledger()
    made.begin("part")
    made.flow(0, 1)
    for n in range(3):
        made.sent(0, n)
        made.acknowledged(0, n)
    return made


def test_a_whole_ledger_has_no_faults() -> None:
    made = ledger()
    for n in range(3):
        made.received(0, n, n + 0.5, 1)
    count = made.count(made.part, resumed=True)
    assert (count.sent, count.acknowledged, count.received, count.lost, count.repeated, count.reordered) == (3, 3, 3, 0, 0, 0)
    assert made.faults(made.part) == []
    assert made.part.longest == 0.5
    assert made.open() == 0


def test_what_was_acknowledged_and_never_came_is_lost() -> None:
    made = ledger()
    made.received(0, 0, 1, 1)
    made.received(0, 2, 1, 1)
    assert made.faults(made.part) == ["1 lost of sessions that resumed"]
    assert made.open() == 1


def test_an_error_is_an_answer() -> None:
    made = ledger()
    made.received(0, 0, 1, 1)
    made.received(0, 2, 1, 1)
    made.bounced(0, 1, "service-unavailable")
    assert made.faults(made.part) == []
    assert made.count(made.part, resumed=True).bounced == 1


def test_what_was_not_acknowledged_is_not_lost_but_is_told() -> None:
    made = ledger()
    made.sent(0, 5)
    for n in range(3):
        made.received(0, n, 5, 1)
    assert made.faults(made.part) == ["1 never acknowledged"]


def test_repeats_and_a_wrong_order_are_faults_of_sessions_that_resumed_only() -> None:
    made = ledger()
    for n in (0, 2, 1, 1):
        made.received(0, n, 5, 1)
    assert made.faults(made.part) == ["1 repeated of sessions that resumed", "1 reordered of sessions that resumed"]
    made.unresumed(1)
    assert made.faults(made.part) == []
    assert made.count(made.part, resumed=False).repeated == 1


def test_sessions_that_did_not_resume_may_lose_nothing_either() -> None:
    made = ledger()
    made.unresumed(0)
    assert made.faults(made.part) == ["3 lost of sessions that did not resume"]


def test_what_comes_after_its_part_counts_to_its_part() -> None:
    made = ledger()
    first = made.part
    made.begin("next")
    for n in range(3):
        made.received(0, n, 9, 1)
    assert made.count(first, resumed=True).received == 3
    assert made.count(made.part, resumed=True).sent == 0


def test_a_message_for_somebody_else_is_a_fault() -> None:
    made = ledger()
    made.received(0, 1, 1, 0)
    made.received(0, 7, 1, 1)
    assert len(made.part.complaints) == 2


def test_counts_wrap() -> None:
    acks = Acks(acknowledged=2**32 - 1, written=2**32 - 1)
    for n in range(3):
        acks.put(Sent(b"", (0, n)))
    acks.unwritten()
    assert [item.key for item in acks.acknowledge(1)] == [(0, 0), (0, 1)]


@pytest.mark.parametrize("h", [0, 4])
def test_a_count_that_cannot_be_is_refused(h: int) -> None:
    acks = Acks()
    for n in range(3):
        acks.put(Sent(b"", (0, n)))
    acks.unwritten()
    acks.acknowledge(1)
    with pytest.raises(Disagreement):
        acks.acknowledge(h)


def test_a_resumed_session_sends_again_what_went_out_and_then_the_rest() -> None:
    acks = Acks()
    for n in range(4):
        acks.put(Sent(str(n).encode(), (0, n)))
        if n == 2:
            acks.unwritten()
    done, again = acks.resumed(1)
    assert [item.data for item in done] == [b"0"]
    assert [item.data for item in again] == [b"1", b"2"]
    assert [item.data for item in acks.unwritten()] == [b"3"]


def test_a_new_session_sends_messages_again_and_no_presence() -> None:
    acks = Acks(received=9)
    acks.put(Sent(b"<presence/>"))
    acks.put(Sent(b"0", (0, 0)))
    acks.unwritten()
    new = acks.renewed()
    assert (new.h, new.written) == (0, 0)
    assert [item.data for item in new.unwritten()] == [b"0"]


# --- the clients, with a server that does as it is told


async def chat(errors: Errors, *, cuts: int = 0) -> tuple[Load, ScriptedServer]:
    async with ScriptedServer(errors).serving() as server:
        load = Load(2, rate=400, doors=[server.port], domain="scripted.example", seed=1)
        async with load.running():
            load.begin("chat")
            for _ in range(cuts):
                client = load.clients[0]
                await client.online.wait()
                await asyncio.sleep(0.1)
                client.cut()
                while client.online.is_set():
                    await asyncio.sleep(0.01)
                await client.online.wait()
            while load.ledger.count(load.ledger.part, resumed=True).sent + load.ledger.count(load.ledger.part, resumed=False).sent < 100:
                await asyncio.sleep(0.05)
            await load.settle(1 if errors.loses or errors.counts or errors.forgets else 5)
    return load, server


def faults(load: Load) -> list[str]:
    return load.ledger.faults(load.ledger.part)


async def test_an_honest_server_is_found_so() -> None:
    load, _ = await chat(Errors())
    assert faults(load) == []
    assert load.ledger.count(load.ledger.part, resumed=True).received > 50
    assert "FAULT" not in table(load.ledger)


async def test_connections_are_cut_and_sessions_resume() -> None:
    load, server = await chat(Errors(), cuts=3)
    assert faults(load) == []
    assert server.resumed == load.ledger.part.resumptions == 3
    assert not load.ledger.part.unresumed


async def test_a_server_that_loses_is_found() -> None:
    load, _ = await chat(Errors(loses={20, 30}))
    assert faults(load) == ["2 lost of sessions that resumed"]


async def test_a_server_that_repeats_and_reorders_is_found() -> None:
    load, _ = await chat(Errors(repeats={20}, delays={30}))
    assert faults(load) == ["1 repeated of sessions that resumed", "1 reordered of sessions that resumed"]


async def test_a_server_that_counts_too_far_is_found() -> None:
    load, _ = await chat(Errors(counts=1))
    assert "wrong count" in faults(load)[0]
    assert "FAULT" in table(load.ledger)


async def test_a_server_that_counts_too_little_is_found() -> None:
    load, _ = await chat(Errors(counts=-1))
    assert any("never acknowledged" in fault or "wrong count" in fault for fault in faults(load))


async def test_bounces_are_listed_apart() -> None:
    load, _ = await chat(Errors(bounces={5}))
    assert faults(load) == []
    assert load.ledger.count(load.ledger.part, resumed=True).bounced == 1
    assert load.ledger.part.conditions["bounce: service-unavailable"] == 1


async def test_what_a_forgetful_server_loses_is_found_among_sessions_of_the_other_kind() -> None:
    load, _ = await chat(Errors(forgets=True), cuts=2)
    assert all(fault.endswith("lost of sessions that did not resume") for fault in faults(load))
    assert len(faults(load)) == 1
    assert load.ledger.part.unresumed == {0}
    assert load.ledger.count(load.ledger.part, resumed=False).sent > 50
