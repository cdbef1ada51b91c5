"""Mailboxes: one at a time for each key, in order, and nothing that a handler does wrong stops the others."""

import asyncio
from typing import Any

from aldis.core.shards.mailbox import Mailboxes
from aldis.core.shards.turn import Turn


class Settler:
    """Counts the turns that are over."""

    settled = 0

    def settle(self) -> None:
        self.settled += 1


class Desk:
    """Mailboxes with a record of what ran and what failed."""

    def __init__(self) -> None:
        self.settler = Settler()
        self.ran: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self.failing = False
        self.mailboxes = Mailboxes(self._failed)

    def _failed(self, key: str, error: Exception, *_: object) -> None:
        self.failures.append((key, str(error)))
        if self.failing:
            raise RuntimeError("the answer failed as well")

    def turn(self) -> Turn:
        return Turn(self.settler, None, 1)

    def post(self, key: str, handler: Any) -> Turn:
        turn = self.turn()
        self.mailboxes.post(key, lambda _first, _second, _turn: handler(), None, None, turn)
        turn.release()
        return turn

    def note(self, name: str) -> Any:
        return lambda: self.ran.append(name)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_work_for_one_key_waits_its_turn_and_other_keys_do_not() -> None:
    desk = Desk()
    gate = asyncio.Event()

    async def slow() -> None:
        await gate.wait()
        desk.ran.append("slow")

    desk.post("a", slow)
    desk.post("a", desk.note("after"))
    desk.post("b", desk.note("other"))
    assert desk.ran == ["other"]
    gate.set()
    await settle()
    assert desk.ran == ["other", "slow", "after"]
    assert desk.settler.settled == 3
    assert not desk.mailboxes.at_work


async def test_two_that_post_to_each_other_neither_wait_nor_recurse() -> None:
    desk = Desk()

    def first() -> None:
        desk.ran.append("first begins")
        desk.post("b", second)
        desk.ran.append("first ends")

    def second() -> None:
        desk.post("a", desk.note("back at first"))
        desk.ran.append("second")

    desk.post("a", first)
    assert desk.ran == ["first begins", "first ends", "second", "back at first"]
    assert desk.settler.settled == 3


async def test_a_handler_that_raises_is_answered_for_and_the_next_runs() -> None:
    desk = Desk()

    def broken() -> None:
        raise ValueError("a defect")

    async def broken_later() -> None:
        await asyncio.sleep(0)
        raise ValueError("a later defect")

    desk.post("a", broken)
    desk.post("a", broken_later)
    desk.post("a", desk.note("next"))
    await settle()
    assert desk.failures == [("a", "a defect"), ("a", "a later defect")]
    assert desk.ran == ["next"]
    assert desk.settler.settled == 3


async def test_an_answer_that_fails_as_well_stops_nothing() -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    desk = Desk()
    desk.failing = True

    def broken() -> None:
        raise ValueError("a defect")

    async def broken_later() -> None:
        await asyncio.sleep(0)
        raise ValueError("a later defect")

    desk.post("a", broken)
    desk.post("b", broken_later)
    desk.post("b", desk.note("next"))
    await settle()
    assert [str(fault["exception"]) for fault in faults] == ["the answer failed as well"] * 2
    assert desk.ran == ["next"]
    assert desk.settler.settled == 3


async def test_something_cancelled_under_a_handler_frees_its_key() -> None:
    desk = Desk()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits() -> None:
        await future

    desk.post("a", waits)
    desk.post("a", desk.note("next"))
    future.cancel()
    await settle()
    assert desk.failures == [("a", "what the handler waited for was cancelled")]
    assert desk.ran == ["next"]
    assert desk.settler.settled == 2


async def test_what_has_begun_ends_after_the_close_and_nothing_else_begins() -> None:
    desk = Desk()
    gate = asyncio.Event()

    async def slow() -> None:
        await gate.wait()
        desk.ran.append("slow")

    desk.post("a", slow)
    desk.post("a", desk.note("never"))
    desk.mailboxes.close()
    gate.set()
    await desk.mailboxes.ended()
    assert desk.ran == ["slow"]
