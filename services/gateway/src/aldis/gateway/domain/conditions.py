"""The error classes by the names of their conditions, in which other services speak of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from aldis.core.xmpp.errors import SaslFailure, StanzaError, StreamError, sasl, stanza, stream

LEGACY_CODES: Final = {
    "bad-request": 400,
    "conflict": 409,
    "internal-server-error": 500,
    "jid-malformed": 400,
    "not-acceptable": 406,
    "not-allowed": 405,
    "resource-constraint": 500,
    "service-unavailable": 503,
    "unexpected-request": 400,
}
"""Codes from before there were conditions (XEP-0086), which `jabber:iq:register` has to carry (XEP-0077 §9)."""


class Given(StanzaError):
    """A refusal that another service has put into XML."""

    def __init__(self, xml: bytes) -> None:
        super().__init__()
        self._xml = xml

    def to_xml(self) -> bytes:
        return self._xml


E = TypeVar("E", SaslFailure, StanzaError, StreamError)


def _by_condition(module: object, base: type[E]) -> Mapping[str, type[E]]:
    classes = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, base) and each is not base]
    return MappingProxyType({each.condition: each for each in classes})


_SASL: Final = _by_condition(sasl, SaslFailure)
_STANZA: Final = _by_condition(stanza, StanzaError)
_STREAM: Final = _by_condition(stream, StreamError)


def sasl_failure(condition: str, text: str = "") -> SaslFailure:
    """The failure of this name; one that is not known says no more than that it failed."""
    return _SASL.get(condition, sasl.NotAuthorized)(text)


def stanza_error(condition: str, text: str = "") -> StanzaError:
    """The stanza error of this name."""
    return _STANZA.get(condition, stanza.UndefinedCondition)(text)


def stream_error(condition: str, text: str = "") -> StreamError:
    """The stream error of this name."""
    return _STREAM.get(condition, stream.UndefinedCondition)(text)
