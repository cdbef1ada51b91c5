"""Leases as one observer sees them, on a simulated database that may be away and whose clock may jump."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from aldis.core.shards.leases import Leases, Pace

PACE = Pace()
BEAT, LEASE, WATCHED = PACE.beat, PACE.lease, PACE.watched


@dataclass(frozen=True)
class Row:
    id: str
    renewed: float
    age: float


class World:
    """Time, the database's clock, one process that renews while it lives, and one observer that looks every beat."""

    def __init__(self) -> None:
        self.time = 0.0
        self.clock = 1000.0
        self.renewed = 1000.0
        self.alive = True
        self.leases = Leases(PACE)

    def beat(self, *, database: bool = True, late: float = 0.0, renews: bool = True) -> None:
        """Let a beat pass, after `late` seconds in which nobody did anything."""
        self.time += BEAT + late
        self.clock += BEAT + late
        if not database:
            return
        if self.alive and renews:
            self.renewed = self.clock
        self.look()

    def look(self) -> None:
        self.leases.observe([Row("other", self.renewed, self.clock - self.renewed)], self.time)

    @property
    def lapsed(self) -> bool:
        return self.leases.lapsed("other")


def test_a_process_that_renews_is_alive_and_one_that_stops_is_not_after_its_lease() -> None:
    world = World()
    for _ in range(20):
        world.beat()
        assert not world.lapsed
    world.alive = False
    died = world.time
    while not world.lapsed:
        world.beat()
    assert LEASE <= world.time - died <= LEASE + BEAT


def test_a_new_observer_believes_an_old_row_only_after_it_has_watched() -> None:
    world = World()
    world.alive = False
    world.clock += 3600
    world.look()
    assert not world.lapsed
    began = world.time
    while not world.lapsed:
        world.beat()
    assert WATCHED <= world.time - began <= WATCHED + BEAT


@given(st.lists(st.sampled_from(["beat", "database away", "clock ahead", "clock back", "we slept", "it was late once"]), max_size=60))
def test_nobody_who_renews_whenever_it_can_is_taken_for_dead(steps: list[str]) -> None:
    world = World()
    for step in steps:
        match step:
            case "beat":
                world.beat()
            case "database away":
                world.beat(database=False)
            case "clock ahead":
                world.clock += 3600
                world.look()
            case "clock back":
                world.clock -= 3600
                world.look()
            case "we slept":
                world.beat(late=60)
            case "it was late once":
                world.beat(renews=False)
                world.beat()
        assert not world.lapsed


def test_after_the_database_was_away_everybody_has_time_to_renew() -> None:
    world = World()
    for _ in range(5):
        world.beat()
    for _ in range(30):
        world.beat(database=False)
    world.beat(renews=False)  # its connection is not back yet
    assert not world.lapsed
    world.beat(renews=False)
    assert not world.lapsed
    world.beat()
    assert not world.lapsed
