"""The bus: one port, and the adapters behind it."""

from aldis.core.bus.port import (
    Batch,
    Bus,
    BusAway,
    BusClosed,
    BusError,
    Consumer,
    Consumption,
    NoSuchQueue,
    QueueState,
    Receipt,
    RequestTimeout,
    Subscription,
)

__all__ = [
    "Batch",
    "Bus",
    "BusAway",
    "BusClosed",
    "BusError",
    "Consumer",
    "Consumption",
    "NoSuchQueue",
    "QueueState",
    "Receipt",
    "RequestTimeout",
    "Subscription",
]
