"""XEP-0440: SASL Channel-Binding Type Capability: the types that this connection has stand in the stream's features."""

from aldis.core.xmpp.feature import Feature
from aldis.gateway.context import Context

feature = Feature[Context](
    "channel-binding-types", xep=440, version="1.0.0", note="tls-exporter, tls-server-end-point, and tls-unique below TLS 1.3"
)
