"""How long a shard's oldest work is under way."""

from aldis.core.service.clock import ManualClock
from aldis.core.shards.oldest import Oldest


def test_the_same_turn_grows_older_and_another_one_begins_anew() -> None:
    clock = ManualClock()
    places = {0: (1, 5)}
    oldest = Oldest(lambda: places, clock.now)
    oldest.look()
    clock.advance(3.0)
    oldest.look()
    assert oldest.seconds(0) == oldest.longest() == 3.0
    assert oldest.seconds(1) == 0.0
    places[0] = (1, 6)
    assert oldest.seconds(0) == 0.0
    oldest.look()
    clock.advance(1.0)
    assert oldest.seconds(0) == 1.0
    places[0] = (2, 6)
    assert oldest.seconds(0) == 0.0
    del places[0]
    oldest.look()
    assert oldest.longest() == 0.0
