"""Which mechanisms each domain's clients are offered, as the directory last said (RFC 6120 §6.3.3)."""

from collections.abc import Sequence

from aldis.core.contracts.accounts import DomainMechanisms
from aldis.core.xmpp.sasl import PLAIN, ScramHash, offer
from aldis.gateway.context.directory import Directory


class Offers:
    """Asked by each stream without waiting, so it is asked for beforehand and again from time to time."""

    def __init__(self, directory: Directory, domains: Sequence[str], *, plain_without_tls: bool) -> None:
        self._directory = directory
        self._domains = domains
        self._plain_without_tls = plain_without_tls
        self._known: dict[str, tuple[frozenset[ScramHash], bool]] = {}

    async def refresh(self) -> None:
        """Ask for every domain, and for the key; raises `Unavailable`, and then what was known stays."""
        await self._directory.fetch_key()
        self._known = {domain: _read(await self._directory.mechanisms(domain)) for domain in self._domains}

    def mechanisms(self, domain: str, tls: bool, bindings: Sequence[str]) -> tuple[str, ...]:
        """What to offer on a stream, strongest first."""
        hashes, plain = self._known.get(domain, (frozenset(), False))
        names = offer(tls=tls, bindings=bindings, hashes=hashes, plain_without_tls=self._plain_without_tls)
        return names if plain else tuple(name for name in names if name != PLAIN)


def _read(said: DomainMechanisms) -> tuple[frozenset[ScramHash], bool]:
    known = {each.mechanism: each for each in ScramHash}
    return frozenset(known[name] for name in said.scram if name in known), said.plain
