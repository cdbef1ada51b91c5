"""The bus: one port, and the adapters behind it."""

from aldis.core.bus.port import Batch, Bus, BusClosed, BusError, Consumer, NoSuchQueue, Receipt, RequestTimeout, Subscription

__all__ = ["Batch", "Bus", "BusClosed", "BusError", "Consumer", "NoSuchQueue", "Receipt", "RequestTimeout", "Subscription"]
