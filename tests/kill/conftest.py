"""How long a round is, and by which seed it is random."""

import fcntl
import os
import random
from collections.abc import Iterator

import pytest

from tests.kill.deeds import Pace

BOUNDED = Pace(kills=1, gap=2.5, stop=4.0, settle=25.0)
SOAK = Pace(kills=1000, gap=5.0, stop=20.0, settle=60.0)


@pytest.fixture
def seed() -> int:
    """What makes a run random; ALDIS_KILL_SEED repeats one, as far as processes can be repeated."""
    return int(os.environ.get("ALDIS_KILL_SEED") or random.randrange(1_000_000))


@pytest.fixture(params=["bounded", pytest.param("soak", marks=[pytest.mark.soak, pytest.mark.timeout(1800, func_only=True)])])
def pace(request: pytest.FixtureRequest) -> Pace:
    """A round that `make test` can afford, or all that was promised."""
    return BOUNDED if request.param == "bounded" else SOAK


@pytest.fixture(autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One such test at a time, whatever the number of workers: each is a load for all of a small machine."""
    with (tmp_path_factory.getbasetemp().parent / "kill.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
