"""RFC 7622 §3: what the three parts of a JID may hold, and the one spelling that each is compared in."""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final
from unicodedata import normalize

import idna
from precis_i18n import get_profile
from precis_i18n.baseclass import BaseClass
from precis_i18n.context import context_rule_error
from precis_i18n.derived import CONTEXTJ, CONTEXTO, FREE_PVAL, PVALID, derived_property
from precis_i18n.profile import Profile

from aldis.core.xmpp.errors.stanza import JidMalformed

MAX_PART: Final = 1023
"""Octets of UTF-8 that a part may have after preparation (RFC 7622 §3.2, §3.3, §3.4)."""

_USERNAME: Final = get_profile("UsernameCaseMapped")
_OPAQUE: Final = get_profile("OpaqueString")

_ASCII_LOCAL: Final = re.compile(r"[!#$%()*+,\-.0-9;=?A-Z\[\\\]^_`a-z{|}~]{1,1023}")
_ASCII_RESOURCE: Final = re.compile(r"[ -~]{1,1023}")
_LABEL: Final = re.compile(r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAX_LABEL: Final = 63

_EXCLUDED: Final = frozenset("\"&'/:<>@")
"""What UsernameCaseMapped allows and a localpart may not have (RFC 7622 §3.3.1)."""

_BY_POSITION: Final = frozenset("\u00b7\u0375\u05f3\u05f4\u200c\u200d")
"""Code points whose context rule looks at the neighbours; the other context rules look at the whole string."""


def localpart(text: str) -> str:
    """Prepare a localpart: UsernameCaseMapped without the excluded characters (RFC 7622 §3.3)."""
    if _ASCII_LOCAL.fullmatch(text):
        return text.lower()
    prepared = _enforce(_USERNAME, text, "localpart")
    for char in prepared:
        if char in _EXCLUDED:  # also those that the width mapping brought in, such as U+FF20
            raise JidMalformed(f"the localpart holds {_name(char)}, which no localpart may")
    return prepared


def resourcepart(text: str) -> str:
    """Prepare a resourcepart: OpaqueString (RFC 7622 §3.4)."""
    if _ASCII_RESOURCE.fullmatch(text):
        return text
    return _enforce(_OPAQUE, text, "resourcepart")


def domainpart(text: str) -> str:
    """Prepare a domainpart: an IPv6 literal, an IPv4 address or a name of IDNA2008 U-labels (RFC 7622 §3.2)."""
    if len(text) > 3 * MAX_PART:
        raise JidMalformed(f"the domainpart is longer than {MAX_PART} octets")
    return _domainpart(text) if len(text) <= 255 else _domain(text)


@lru_cache(maxsize=1024)
def _domainpart(text: str) -> str:
    return _domain(text)


def _domain(text: str) -> str:
    if text.startswith("["):
        return _ipv6(text)
    name = text.lower() if text.isascii() else _map_domain(text)
    name = name.removesuffix(".")  # RFC 7622 §3.2: a final label separator is stripped
    if not name:
        raise JidMalformed("the domainpart is empty")
    # An IPv4 address is a name of LDH labels, in the same spelling.
    return _bounded(".".join(map(_label, name.split("."))), "domainpart")


def _ipv6(text: str) -> str:
    if not text.endswith("]") or "%" in text:  # a zone means nothing to anybody else
        raise JidMalformed("the domainpart is not an IPv6 address in brackets")
    try:
        return f"[{IPv6Address(text[1:-1]).compressed}]"
    except ValueError:
        raise JidMalformed("the domainpart is not an IPv6 address in brackets") from None


def _map_domain(text: str) -> str:
    """Map width and case, then NFC (RFC 5895 §2, as RFC 7622 §3.2.1 asks).

    Each code point is lower-cased for itself, because `str.lower` of a whole name would choose the final sigma by its neighbours; and
    only where case folding changes it, because Cherokee folds to its capitals and IDNA2008 allows only those.
    """
    narrow = _USERNAME.width_mapping_rule(text).replace("\u3002", ".")
    return normalize("NFC", "".join([char if char == char.casefold() else char.lower() for char in narrow]))


def _label(label: str) -> str:
    if _LABEL.fullmatch(label):
        return label
    if not label:
        raise JidMalformed("the domainpart has an empty label")
    if len(label) > _MAX_LABEL:  # before idna looks: its work grows with the square of the length
        raise JidMalformed(f"a label of the domainpart is longer than {_MAX_LABEL} octets")
    try:
        unicode = idna.ulabel(label)
        idna.alabel(unicode)  # RFC 5891 §4.2.4: the A-label has its limit too
    except UnicodeError as error:
        raise JidMalformed(f"a label of the domainpart is not allowed by IDNA2008: {error}") from None
    return unicode


def _enforce(profile: Profile, text: str, part: str) -> str:
    """Apply a PRECIS profile as RFC 8264 §7 says.

    The library's own `enforce` looks at the string class only after the mappings, so that U+212A (Kelvin) would be let in as "k".
    """
    _check_class(profile.base, profile.width_mapping_rule(text), part)
    try:
        prepared = profile.apply_five_rules(text) if text else ""
        stable = prepared == profile.apply_five_rules(prepared) if prepared else True
    except UnicodeError:
        raise JidMalformed(f"the {part} mixes writing directions in a way that RFC 5893 refuses") from None
    if not prepared:
        raise JidMalformed(f"the {part} is empty")
    if not stable:
        raise JidMalformed(f"the {part} has no stable form")
    _check_class(profile.base, prepared, part)
    return _bounded(prepared, part)


def _check_class(base: BaseClass, text: str, part: str) -> None:
    """Check each code point against the string class, each distinct one once where its position does not matter.

    The library checks every position and some rules scan the whole string: 440 ms of CPU for one hostile resource of 3 kB.
    """
    allowed = (PVALID, FREE_PVAL) if base is _OPAQUE.base else (PVALID,)
    seen = set[str]()
    for position, char in enumerate(text):
        if char in seen:
            continue
        kind, _ = derived_property(ord(char), base.ucd)
        in_context = kind in (CONTEXTJ, CONTEXTO) and not context_rule_error(text, position, base.ucd)
        if kind not in allowed and not in_context:
            raise JidMalformed(f"the {part} holds {_name(char)}, which is not allowed there")
        if char not in _BY_POSITION:
            seen.add(char)


def _bounded(text: str, part: str) -> str:
    if len(text.encode()) > MAX_PART:
        raise JidMalformed(f"the {part} is longer than {MAX_PART} octets")
    return text


def _name(char: str) -> str:
    return f"U+{ord(char):04X}"
