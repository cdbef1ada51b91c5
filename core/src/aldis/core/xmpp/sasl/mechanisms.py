"""Which SASL mechanisms to offer, strongest first (RFC 6120 §6.3.3)."""

from collections.abc import Collection
from typing import Final

from aldis.core.xmpp.sasl.scram import PLUS, ScramHash

PLAIN: Final = "PLAIN"


def offer(*, tls: bool, bindings: Collection[str], hashes: Collection[ScramHash], plain_without_tls: bool = False) -> tuple[str, ...]:
    """List the mechanisms for one stream.

    `bindings` are the types of channel binding that this connection has, `hashes` those that the domain's accounts have keys for.
    -PLUS is offered exactly if there are bindings, which is what `ScramServer` takes for granted when it looks for a downgrade.
    """
    scram = [algorithm.mechanism for algorithm in reversed(ScramHash) if algorithm in hashes]
    plus = [name + PLUS for name in scram] if bindings else []
    plain = [PLAIN] if tls or plain_without_tls else []  # RFC 6120 §13.8.3
    return (*plus, *scram, *plain)
