"""XEP-0198: Stream Management, as far as it is XML and arithmetic: its elements, and what a count of 32 bits means."""

from aldis.core.xmpp.sm.counters import Counters
from aldis.core.xmpp.sm.elements import NAMES, NS, REQUEST, STREAM_FEATURE, HandledCountTooHigh

__all__ = ["NAMES", "NS", "REQUEST", "STREAM_FEATURE", "Counters", "HandledCountTooHigh"]
