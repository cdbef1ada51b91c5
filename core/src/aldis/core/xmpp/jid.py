"""RFC 7622: XMPP addresses, always in the one spelling that they are compared in."""

from functools import lru_cache
from typing import Final, NoReturn, final

from aldis.core.xmpp.errors.stanza import JidMalformed
from aldis.core.xmpp.prep import MAX_PART, domainpart, localpart, resourcepart

_MAX_TEXT: Final = 3 * MAX_PART + 2
_MAX_CACHED: Final = 255
_CACHE_SIZE: Final = 8192


@final
class Jid:
    """An address: immutable, hashable, equal when the prepared text is equal.

    None exists that is not valid, whichever way it was made. Hash and comparison work on the cached text, for a JID is the key
    of every table on the path of a stanza.
    """

    __slots__ = ("_bare", "_hash", "_text", "domain", "local", "resource")

    local: str | None
    domain: str
    resource: str | None
    _text: str
    _hash: int
    _bare: "Jid | None"

    def __new__(cls, local: str | None, domain: str, resource: str | None = None) -> "Jid":
        """Make an address of parts, each of which is prepared; raises `JidMalformed`."""
        return _make(
            None if local is None else localpart(local),
            domainpart(domain),
            None if resource is None else resourcepart(resource),
        )

    @staticmethod
    def parse(text: str) -> "Jid":
        """Take an address apart (RFC 7622 §3.1); raises `JidMalformed` with what is wrong.

        Results for short texts are kept, so that a stranger who invents addresses holds some ten MB at most.
        """
        if len(text) <= _MAX_CACHED:
            return _parse_cached(text)
        if len(text) > _MAX_TEXT:
            raise JidMalformed(f"the address is longer than {_MAX_TEXT} octets")
        return _parse(text)

    @property
    def bare(self) -> "Jid":
        """The address without its resource; made once."""
        if self.resource is None:  # not kept in the slot: a cycle would leave every address to the garbage collector
            return self
        bare = self._bare
        if bare is None:
            bare = _make(self.local, self.domain, None)
            _set_bare(self, bare)
        return bare

    @property
    def is_full(self) -> bool:
        """Whether there is a resource."""
        return self.resource is not None

    @property
    def is_bare(self) -> bool:
        """Whether there is no resource; a bare domain is bare, too."""
        return self.resource is None

    @property
    def is_domain(self) -> bool:
        """Whether there is nothing but a domain."""
        return self.local is None and self.resource is None

    def with_resource(self, resource: str) -> "Jid":
        """The same account or domain with this resource, which is prepared; raises `JidMalformed`."""
        return _make(self.local, self.domain, resourcepart(resource))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Jid({self._text!r})"

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Jid) and self._text == other._text)

    def __reduce__(self) -> "tuple[object, tuple[str]]":
        return Jid.parse, (self._text,)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Jid is immutable: can't set {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Jid is immutable: can't delete {name}")


# The slots' own setters, past the `__setattr__` that refuses; only `_make` and `bare` use them.
_set_local = Jid.__dict__["local"].__set__
_set_domain = Jid.__dict__["domain"].__set__
_set_resource = Jid.__dict__["resource"].__set__
_set_text = Jid.__dict__["_text"].__set__
_set_hash = Jid.__dict__["_hash"].__set__
_set_bare = Jid.__dict__["_bare"].__set__


def _make(local: str | None, domain: str, resource: str | None) -> Jid:
    """Make an address of parts that are prepared already."""
    jid = object.__new__(Jid)
    text = domain if local is None else f"{local}@{domain}"
    if resource is not None:
        text = f"{text}/{resource}"
    _set_local(jid, local)
    _set_domain(jid, domain)
    _set_resource(jid, resource)
    _set_text(jid, text)
    _set_hash(jid, hash(text))
    _set_bare(jid, None)
    return jid


def _parse(text: str) -> Jid:
    rest, slash, resource = text.partition("/")  # RFC 7622 §3.1: first the resource, from the first slash on
    local, at, domain = rest.partition("@")  # then the localpart, up to the first at sign
    if not at:
        return _make(None, domainpart(rest), resourcepart(resource) if slash else None)
    return _make(localpart(local), domainpart(domain), resourcepart(resource) if slash else None)


_parse_cached = lru_cache(maxsize=_CACHE_SIZE)(_parse)
