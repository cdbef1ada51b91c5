"""The three error families: a stanza error answers, a stream error closes, a SASL failure refuses."""

from aldis.core.xmpp.errors.sasl import SaslFailure
from aldis.core.xmpp.errors.stanza import ErrorType, StanzaError
from aldis.core.xmpp.errors.stream import StreamError

__all__ = ["ErrorType", "SaslFailure", "StanzaError", "StreamError"]
