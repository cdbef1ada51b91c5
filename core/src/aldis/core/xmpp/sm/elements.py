"""The elements of XEP-0198, read and written (§3 to §6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aldis.core.xmpp.errors.stanza import BadRequest, StanzaError, escape
from aldis.core.xmpp.errors.stream import BadFormat, UndefinedCondition
from aldis.core.xmpp.namespaces import STANZA_ERRORS, STREAM_ERRORS

NS: Final = "urn:xmpp:sm:3"
STREAM_FEATURE: Final = f"<sm xmlns='{NS}'/>".encode()
REQUEST: Final = f"<r xmlns='{NS}'/>".encode()
NAMES: Final = frozenset({"enable", "resume", "r", "a"})
"""What a client may send."""
MOST: Final = 2**32
"""Where a count begins again at 0 (§4)."""
LONGEST_ID: Final = 4000
"""§5: an SM-ID should be no longer."""
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asks for with `<enable/>`."""

    resume: bool
    seconds: int
    """For how long it would like to be able to resume, 0 if it does not say."""


class HandledCountTooHigh(UndefinedCondition):
    """The client acknowledges more than it was sent (§6)."""

    def __init__(self, h: int, sent: int) -> None:
        super().__init__(f"You acknowledged {h} stanzas, but {sent} were sent so far.")
        self.h = h
        self.sent = sent

    def to_xml(self) -> bytes:
        return (
            f"<stream:error><{self.condition} xmlns='{STREAM_ERRORS}'/>"
            f"<handled-count-too-high xmlns='{NS}' h='{self.h}' send-count='{self.sent}'/>"
            f"<text xmlns='{STREAM_ERRORS}' xml:lang='en'>{escape(self.text)}</text></stream:error>"
        ).encode()


def wish(attrs: Mapping[str, str]) -> Wish:
    """Read `<enable/>` (§3); raises `BadRequest`."""
    resume = _BOOLEANS.get(attrs.get("resume", "false").strip())
    seconds = _number(attrs.get("max", "0"))
    if resume is None or seconds is None:
        raise BadRequest("`resume` is a boolean and `max` a number of seconds")
    return Wish(resume, seconds)


def resumption(attrs: Mapping[str, str]) -> tuple[str, int]:
    """Read `<resume/>`: the id of the former stream, and how many of its stanzas came (§5); raises `BadRequest`."""
    previd = attrs.get("previd", "")
    h = _number(attrs.get("h", ""))
    if not previd or len(previd) > LONGEST_ID or h is None:
        raise BadRequest("`previd` is the id that `<enabled/>` gave and `h` the count of handled stanzas")
    return previd, h


def handled(attrs: Mapping[str, str]) -> int:
    """Read the `h` of `<a/>` (§4); raises `BadFormat`."""
    h = _number(attrs.get("h", ""))
    if h is None:
        raise BadFormat("`h` is the count of handled stanzas")
    return h


def enabled(previd: str, seconds: int) -> bytes:
    """Say that stanzas are counted from here; with an id if the stream can be resumed (§3, §5)."""
    if not previd:
        return f"<enabled xmlns='{NS}'/>".encode()
    return f"<enabled xmlns='{NS}' id='{escape(previd)}' resume='true' max='{seconds}'/>".encode()


def resumed(previd: str, h: int) -> bytes:
    """Say that the former stream goes on (§5)."""
    return f"<resumed xmlns='{NS}' previd='{escape(previd)}' h='{h}'/>".encode()


def failed(error: StanzaError, h: int | None = None) -> bytes:
    """Refuse `<enable/>` or `<resume/>`; `h` if the former stream is known and can't go on (§5, §6)."""
    count = "" if h is None else f" h='{h}'"
    return f"<failed xmlns='{NS}'{count}><{error.condition} xmlns='{STANZA_ERRORS}'/></failed>".encode()


def acknowledgement(h: int) -> bytes:
    """Say how many stanzas were handled (§4)."""
    return f"<a xmlns='{NS}' h='{h}'/>".encode()


def _number(text: str) -> int | None:
    """An xs:unsignedInt, or None if it is none."""
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > len(str(MOST)):
        return None
    number = int(text)
    return number if number < MOST else None
