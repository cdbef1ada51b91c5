"""XEP-0198 against a model: whatever happens to sockets, gateways and owners, every stanza comes once and in order."""

from random import Random

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import xep
from aldis.core.testing.cluster import Cluster
from tests.scenarios.test_xep_0198 import message

pytestmark = pytest.mark.deaths
DEEDS = 14


class Story:
    """Two clients, what they said to each other, and what may happen meanwhile."""

    def __init__(self, cluster: Cluster, juliet: Actor, romeo: Actor, dice: Random) -> None:
        self.cluster = cluster
        self.actors = (juliet, romeo)
        self.dice = dice
        self.said: dict[Actor, list[str]] = {juliet: [], romeo: []}
        self.heard: dict[Actor, list[str]] = {juliet: [], romeo: []}
        self.gateways = [0, 1]
        self.told: list[str] = []

    def other(self, actor: Actor) -> Actor:
        return self.actors[1 - self.actors.index(actor)]

    async def goes_on(self) -> None:
        actor = self.dice.choice(self.actors)
        deeds = [self.speaks] * 5 + [self.reads] * 2 + [self.breaks] * 3 + [self.owner_dies]
        if len(self.gateways) > 1:
            deeds.append(self.gateway_dies)
        deed = self.dice.choice(deeds)
        self.told.append(f"{actor.name} {deed.__name__}")
        await deed(actor)

    async def speaks(self, actor: Actor) -> None:
        for _ in range(self.dice.randrange(1, 6)):
            body = f"{actor.name} {len(self.said[actor])}"
            self.said[actor].append(body)
            await actor.sends(message(self.other(actor), body))

    async def reads(self, actor: Actor) -> None:
        await actor.passes_barrier(alone=False)

    async def breaks(self, actor: Actor) -> None:
        """The connection is lost, with what was on its way in both directions."""
        self.keeps(actor)
        await actor.resumes(self.cluster.doors[self.dice.choice(self.gateways)])

    async def owner_dies(self, actor: Actor) -> None:
        await self.cluster.kills_owner(actor.account)

    async def gateway_dies(self, actor: Actor) -> None:
        """Whoever's turn it is, a gateway dies with everybody on it."""
        dead = self.gateways.pop(self.dice.randrange(len(self.gateways)))
        await self.cluster.kills_gateway(dead)
        for each in self.actors:
            if each.doors == self.cluster.doors[dead]:
                await self.breaks(each)

    def keeps(self, actor: Actor) -> None:
        """Remember what was read before the stream is another one."""
        self.heard[actor] += [body for element in actor.heard() if (body := element.findtext("{jabber:client}body"))]

    async def ends(self) -> None:
        for actor in self.actors:
            await actor.is_acknowledged()
        for actor in self.actors:
            await actor.passes_barrier(alone=False)
            self.keeps(actor)
        for actor in self.actors:
            assert self.heard[actor] == self.said[self.other(actor)], "\n".join(self.told)


@xep("0198", "5")
@pytest.mark.parametrize("story", range(6))
async def test_every_stanza_comes_once_and_in_order(juliet: Actor, romeo: Actor, cluster: Cluster, story: int) -> None:
    for actor in (juliet, romeo):
        await actor.enables()
    told = Story(cluster, juliet, romeo, Random(story))
    for _ in range(DEEDS):
        await told.goes_on()
    await told.ends()
