"""A feature: what one specification adds to a service, said and done in one place, so that disco can't lie."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from lxml import etree

from aldis.core.xmpp.stanza import Iq, IqType

C = TypeVar("C")
Answer = etree._Element | bytes | None  # noqa: SLF001  lxml gives its element class no other name
"""A result's payload, as an element or as the bytes of one; None is an empty result. A refusal is raised."""
Handler = Callable[[C, Iq], Awaitable[Answer]]


class At(Enum):
    """Whom a request is addressed to, if the server answers it."""

    SERVER = "server"
    """A domain that is served."""
    ACCOUNT = "account"
    """The bare JID of an account."""


EVERYWHERE = (At.SERVER, At.ACCOUNT)


@dataclass(frozen=True, slots=True)
class Identity:
    """A disco#info identity (XEP-0030 §3.1)."""

    category: str
    type: str
    name: str = ""


class Feature(Generic[C]):
    """One specification, or one named part of one.

    `disco` are the features of the domain, `account_disco` those of an account's bare JID; `xep` and `version` go into
    docs/xeps.md.
    """

    def __init__(
        self,
        name: str,
        *,
        xep: int | None = None,
        version: str = "",
        disco: tuple[str, ...] = (),
        account_disco: tuple[str, ...] = (),
        note: str = "",
    ) -> None:
        self.name = name
        self.xep = xep
        self.version = version
        self.disco = disco
        self.account_disco = account_disco
        self.note = note
        """What of the specification is done, or left out, for the list of XEPs."""
        self.iqs: dict[tuple[At, IqType, str], Handler[C]] = {}

    def iq(self, type: IqType, payload: str, *, at: tuple[At, ...] = (At.SERVER,)) -> Callable[[Handler[C]], Handler[C]]:  # noqa: A002
        """Answer requests of this type whose payload has this Clark name."""

        def register(handler: Handler[C]) -> Handler[C]:
            for where in at:
                if (where, type, payload) in self.iqs:
                    raise ValueError(f"{self.name} answers {type} {payload} twice")
                self.iqs[where, type, payload] = handler
            return handler

        return register


class Registry(Generic[C]):
    """A service's features, as listed in its `app.py`; a payload that two of them claim is a `ValueError`."""

    def __init__(self, features: Iterable[Feature[C]]) -> None:
        self.features = tuple(features)
        self.iqs: dict[tuple[At, IqType, str], Handler[C]] = {}
        for feature in self.features:
            for key, handler in feature.iqs.items():
                if key in self.iqs:
                    raise ValueError(f"{feature.name} answers {key[2]}, which another feature answers already")
                self.iqs[key] = handler

    @property
    def disco(self) -> tuple[str, ...]:
        """The domain's features, sorted."""
        return tuple(sorted({name for feature in self.features for name in feature.disco}))

    @property
    def account_disco(self) -> tuple[str, ...]:
        """An account's features, sorted."""
        return tuple(sorted({name for feature in self.features for name in feature.account_disco}))
