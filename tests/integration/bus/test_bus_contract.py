"""The bus over RabbitMQ keeps every adapter's promises: the same tests as on the memory bus."""

from tests.support.bus_suite import *  # noqa: F403  the tests themselves
from tests.support.bus_suite_connections import *  # noqa: F403
