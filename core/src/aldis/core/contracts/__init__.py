"""What services say to each other: frozen structs that only grow."""

from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope, Flag, Kind, trace_of

__all__ = ["Envelope", "Flag", "Kind", "Message", "Origin", "trace_of"]
