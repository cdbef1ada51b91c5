"""XEP-0198: Stream Management: stanzas are acknowledged both ways, and a stream that broke goes on with a new one.

The elements are read and counted in `core/xmpp/sm`, what they do to a client's stream is in `net/management.py`, and the
sessions that wait for their clients are the shards' (`core/shards`).
"""

from aldis.core.xmpp.feature import Feature
from aldis.core.xmpp.sm import STREAM_FEATURE
from aldis.gateway.context import Context

__all__ = ["STREAM_FEATURE", "feature"]

feature = Feature[Context]("stream-management", xep=198, version="1.6.3", note="for clients; no `location`, since any gateway can resume")
