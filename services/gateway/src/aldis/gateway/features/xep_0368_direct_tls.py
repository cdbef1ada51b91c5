"""XEP-0368: SRV records for XMPP over TLS: a port whose connections begin with TLS, and ALPN `xmpp-client`."""

from aldis.core.xmpp.feature import Feature
from aldis.gateway.context import Context

feature = Feature[Context]("direct-tls", xep=368, version="1.1.0", note="the server's side: listener and ALPN; no SRV look-ups yet")
