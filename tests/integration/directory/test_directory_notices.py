"""Others are told what became of an account until they have confirmed it."""

import asyncio
from typing import TYPE_CHECKING

from aldis.core.bus.names import ANNOUNCE, DIRECTORY
from aldis.core.contracts.accounts import AccountDeleted, AccountDisabled, AccountExists, AccountForgotten, AccountResult
from aldis.core.contracts.base import Message
from aldis.core.contracts.services import Announce, WhoIsThere
from aldis.core.service.sections import Bus
from aldis.core.shards.slots import shard_of
from aldis.directory.settings import Registration

if TYPE_CHECKING:
    from tests.integration.directory.conftest import Town

JULIET = "juliet@capulet.lit"


async def test_a_deleted_account_is_told_to_its_shard_and_its_name_is_free_when_forgotten(town: "Town") -> None:
    shard = await town.shard()
    assert await town.do("delete") == AccountResult()
    assert not await town.lets_in("Rosaline")
    assert (await town.do("list", "")).accounts == ()
    again = await town.do("add", password="Paris")
    assert (again.error, "still being removed" in again.text) == ("conflict", True)
    assert (await town.do("delete")).error == "item-not-found"
    await town.until(lambda: shard.heard)
    told = shard.heard[0]
    assert isinstance(told, AccountDeleted)
    assert told.account == JULIET
    town.router.publish(told.reply_to, AccountForgotten(account=JULIET, service="router"))
    await town.until(lambda: "account.forgotten" in town.logged.getvalue())
    assert await town.do("add", password="Paris") == AccountResult()
    assert await town.lets_in("Paris")


async def test_a_deletion_is_repeated_with_the_same_origin_until_it_is_confirmed(town: "Town") -> None:
    await town.do("delete")
    notices = town.directory._notices
    assert notices is not None
    await asyncio.sleep(0.2)  # nobody owns the shard yet
    shard = await town.shard()
    for seconds, heard in ((1, 1), (1, 1), (1, 2), (3.9, 2), (0.1, 3)):
        town.clock.advance(seconds)
        notices.wake()
        async with asyncio.timeout(10):
            while len(shard.heard) < heard:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.15)
        assert len(shard.heard) == heard
    assert len({message.origin for message in shard.heard if isinstance(message, AccountDeleted)}) == 1


async def test_a_deletion_that_was_interrupted_goes_on_in_the_next_run(town: "Town") -> None:
    await town.do("delete")
    await town.directory.stop()  # before the first notice went out
    shard = await town.shard(forgets=True)
    await town.begin()
    assert await town.exists() == AccountExists(exists=False)
    await town.until(lambda: "account.forgotten" in town.logged.getvalue())
    assert [type(message) for message in shard.heard] == [AccountDeleted]
    assert await town.do("add", password="Paris") == AccountResult()


async def test_a_deletion_and_its_notice_are_kept_together_or_not_at_all(town: "Town") -> None:
    async with town.database.transaction() as connection:
        await connection.exec_driver_sql("DROP TABLE directory_notices")
    assert (await town.do("delete")).error == "internal-server-error"
    assert await town.lets_in("Rosaline")


async def test_confirmations_of_other_accounts_and_services_free_no_name(town: "Town") -> None:
    shard = await town.shard()
    await town.do("delete")
    await town.until(lambda: shard.heard)
    told = shard.heard[0]
    assert isinstance(told, AccountDeleted)
    for account, service in (("romeo@capulet.lit", "router"), (JULIET, "muc"), ("\x00", "router"), ("x@verona.lit", "router")):
        town.router.publish(told.reply_to, AccountForgotten(account=account, service=service))
    await asyncio.sleep(0.3)
    assert (await town.do("add", password="Paris")).error == "conflict"


async def test_each_account_is_told_to_its_own_shard(town: "Town") -> None:
    await town.again(bus=Bus(shards=4))
    shards = [await town.shard(number, forgets=True) for number in range(4)]
    names = [f"guest{n}@capulet.lit" for n in range(12)]
    await asyncio.gather(*(town.do("add", name, "pw") for name in names))
    await asyncio.gather(*(town.do("delete", name) for name in names))
    await town.until(lambda: sum(len(shard.heard) for shard in shards) == len(names))
    for number, shard in enumerate(shards):
        told = {message.account for message in shard.heard if isinstance(message, AccountDeleted)}
        assert told == {name for name in names if shard_of(name, 4) == number}


async def test_more_deletions_than_a_page_holds_are_all_told(town: "Town") -> None:
    rows = ", ".join(f"('capulet.lit', 'u{n:04}', 'deleted', 'router', 'o{n}', 0)" for n in range(1203))
    async with town.database.transaction() as connection:
        await connection.exec_driver_sql(f"INSERT INTO directory_notices VALUES {rows}")  # noqa: S608
    shard = await town.shard()
    await town.do("delete")
    await town.until(lambda: len(shard.heard) == 1204)
    assert len({message.account for message in shard.heard if isinstance(message, AccountDeleted)}) == 1204


async def test_a_disabled_accounts_shard_is_told_once_the_bus_has_it(town: "Town") -> None:
    shard = await town.shard()
    await town.do("disable")
    await town.until(lambda: shard.heard)
    told = shard.heard[0]
    assert isinstance(told, AccountDisabled)
    assert told.account == JULIET
    town.clock.advance(100)
    await town.do("enable")
    await asyncio.sleep(0.3)
    assert len(shard.heard) == 1


async def test_an_account_of_a_domain_that_is_served_no_more_is_forgotten_all_the_same(town: "Town") -> None:
    await town.do("add", "romeo@montague.lit", "wherefore")
    await town.do("delete", "romeo@montague.lit")
    await town.directory.stop()
    town.domains = ("capulet.lit",)
    await town.begin()
    await town.shard(forgets=True)
    await town.until(lambda: "account.forgotten" in town.logged.getvalue())


async def test_a_lost_queue_of_confirmations_is_made_anew(town: "Town") -> None:
    notices = town.directory._notices
    assert notices is not None
    town.broker.queues.clear()
    notices.lost()
    await town.shard(forgets=True)
    await town.do("delete")
    await town.until(lambda: "account.forgotten" in town.logged.getvalue())


async def test_accounts_come_and_go_whatever_the_bus_does(bare_town: "Town", fault_seed: int | None) -> None:
    town = bare_town
    await town.begin()
    await town.shard(forgets=True)
    for _ in range(3):
        assert await town.do("add", password="Rosaline") == AccountResult()
        assert await town.lets_in("Rosaline")
        assert await town.do("delete") == AccountResult()
        town.logged.truncate(0)
        await town.until(lambda: "account.forgotten" in town.logged.getvalue())


async def test_the_directory_announces_itself_at_start_and_when_asked(bare_town: "Town") -> None:
    town = bare_town
    heard: list[Message] = []
    await town.router.listen(ANNOUNCE, heard.append)
    await town.begin()
    await town.until(lambda: heard)
    town.router.broadcast(ANNOUNCE, WhoIsThere())
    await town.until(lambda: len(heard) == 3)
    announced = Announce(service="directory", queue=DIRECTORY, features=("jabber:iq:register",), iqs=("{jabber:iq:register}query",))
    assert [message for message in heard if isinstance(message, Announce)] == [announced] * 2
    heard.clear()
    await town.again(registration=Registration(password_change=False, removal=False))
    await town.until(lambda: heard)
    assert heard == [Announce(service="directory", queue=DIRECTORY)]
