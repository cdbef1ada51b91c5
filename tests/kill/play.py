"""Plays a run: part after part, each settled and counted before the next begins."""

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.kill.deeds import Deed
from tests.kill.load import Load
from tests.kill.report import table


@dataclass(frozen=True, slots=True)
class Scene:
    """One part of a run."""

    name: str
    deed: Deed
    may_repeat: bool = False
    """Where the design allows a session that resumed to get something twice (design §7.6: `kill -9` of the one process)."""


async def play(load: Load, scenes: Sequence[Scene], *, seed: int, settle: float) -> list[str]:
    """Let clients chat through all the scenes; the faults, each with its part's name."""
    chance = random.Random(seed)
    faults = []
    try:
        for scene in scenes:
            part = load.begin(scene.name, may_repeat=scene.may_repeat)
            await scene.deed(load, chance)
            await load.settle(settle)
            faults += [f"{scene.name}: {fault}" for fault in load.ledger.faults(part)]
    finally:
        sys.stdout.write(f"\nseed {seed}, {len(load.clients)} clients, {load.rate:g} messages a second\n{table(load.ledger)}\n")
        sys.stdout.flush()
    return faults
