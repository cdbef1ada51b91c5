"""`python -m aldis.directory` and `aldis-directory`: the directory as a process of its own."""

import sys
from collections.abc import Sequence

from aldis.core.service import alone
from aldis.core.service.alone import Ground, Service
from aldis.core.service.operated import Operated, State
from aldis.core.service.process import Part
from aldis.directory.app import Directory, migrations
from aldis.directory.settings import DirectorySettings


def make(ground: Ground[DirectorySettings]) -> Sequence[Part]:
    """The directory's parts."""
    host = ground.host
    directory = Directory(
        settings=host.settings, bus=ground.bus, database=ground.database, clock=host.clock, registry=host.registry, log=host.log
    )
    return [directory, Operated("directory", ground.name, ground.bus, host.clock, host.process.readiness, State)]


def main() -> int:
    """Run it; the exit code."""
    return alone.main(Service("directory", DirectorySettings, make, (migrations(),)))


if __name__ == "__main__":
    sys.exit(main())
