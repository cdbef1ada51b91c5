"""XML compared as XML: what was received against what a scenario expects, with wildcards.

Order of attributes, prefixes and white space between elements do not count. `{any}` stands for any part of an attribute's
value or of a text, and as the whole content of an element for any content. `...` among the content of an element lets it
have more attributes and more children than those that are named. The order of children counts.
"""

import re
from typing import Final
from xml.etree import ElementTree

from aldis.core.xmpp.namespaces import CLIENT, STANZA_ERRORS, STREAM_ERRORS, STREAMS

ANY: Final = "{any}"
"""For f-strings, where braces mean something else."""
MORE: Final = "..."
Element = ElementTree.Element


def parse(pattern: str) -> Element:
    """Read a pattern as it would stand in a stream of clients."""
    try:
        wrapped = f"<x xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>{pattern}</x>"
        return ElementTree.fromstring(wrapped)[0]  # noqa: S314  the test's own
    except (ElementTree.ParseError, IndexError) as error:
        raise ValueError(f"{pattern!r} is no XML: {error}; in an f-string the wildcard is ANY") from None


def expect(condition: object, otherwise: str) -> None:
    """Fail the scenario unless it is so."""
    if not condition:
        raise AssertionError(otherwise)


def show(element: Element) -> str:
    """Write an element for people to read: namespaces where they change, nothing else added."""
    return _show(element, CLIENT)


def error(condition: str, kind: str, *, text: str = "") -> str:
    """Write the pattern of a stanza's `<error/>`, whatever its text unless one is given (RFC 6120 §8.3.2)."""
    said = f"<text xmlns='{STANZA_ERRORS}' xml:lang='en'>{text}</text>" if text else MORE
    return f"<error type='{kind}'><{condition} xmlns='{STANZA_ERRORS}'/>{said}</error>"


def stream_error(condition: str) -> str:
    """Write the pattern of a stream error, whatever its text (RFC 6120 §4.9.2)."""
    return f"<stream:error><{condition} xmlns='{STREAM_ERRORS}'/>{MORE}</stream:error>"


def difference(pattern: Element, found: Element, implied: dict[str, set[str]] | None = None) -> str | None:
    """Tell how the element differs from the pattern; None if it fits.

    `implied` are attributes of the outermost element that need not be named if they have one of these values.
    """
    if found.tag != pattern.tag:
        return f"<{_name(found.tag, '')}> where <{_name(pattern.tag, '')}> was expected"
    more = MORE in _texts(pattern)
    return _attributes(pattern, found, more, implied or {}) or _content(pattern, found, more)


def _attributes(pattern: Element, found: Element, more: bool, implied: dict[str, set[str]]) -> str | None:
    name = _name(found.tag, "")
    for key, wanted in pattern.attrib.items():
        value = found.get(key)
        if value is None:
            return f"<{name}> has no {key}"
        if not _fits(wanted, value):
            return f"<{name}> has {key}='{value}', not '{wanted}'"
    for key in found.attrib.keys() - pattern.attrib.keys():
        if not more and found.attrib[key] not in implied.get(key, ()):
            return f"<{name}> has {key}='{found.attrib[key]}', which was not expected"
    return None


def _content(pattern: Element, found: Element, more: bool) -> str | None:
    name = _name(found.tag, "")
    text = "".join(_texts(pattern)).replace(MORE, "")
    if not len(pattern) and text == ANY:
        return None
    have = "".join(_texts(found))
    if not _fits(text, have) and not (more and not text):
        return f"<{name}> holds the text {have!r}, not {text!r}"
    rest = list(found)
    for child in pattern:
        problem: str | None = f"<{name}> has no <{_name(child.tag, '')}> where one was expected"
        while rest:
            candidate = rest.pop(0)
            found_wrong = difference(child, candidate)
            if found_wrong is None or not more or candidate.tag == child.tag:
                problem = found_wrong
            if problem is None or not more:
                break
        if problem is not None:
            return problem
    return f"<{name}> holds {show(rest[0])}, which was not expected" if rest and not more else None


def _texts(element: Element) -> list[str]:
    return [text.strip() for text in (element.text, *(child.tail for child in element)) if text and text.strip()]


def _fits(wanted: str, value: str) -> bool:
    if ANY not in wanted:
        return wanted == value
    return re.fullmatch(".*".join(map(re.escape, wanted.split(ANY))), value, re.DOTALL) is not None


def _name(tag: str, space: str) -> str:
    namespace, _, name = tag.rpartition("}")
    return name if namespace[1:] in (space, CLIENT) else f"{name} xmlns='{namespace[1:]}'"


def _show(element: Element, space: str) -> str:
    namespace, _, name = element.tag.rpartition("}")
    attributes = "".join(f" {key.rpartition('}')[2]}='{value}'" for key, value in element.attrib.items())
    declared = f" xmlns='{namespace[1:]}'" if namespace[1:] != space else ""
    content = (element.text or "") + "".join(_show(child, namespace[1:]) + (child.tail or "") for child in element)
    return f"<{name}{declared}{attributes}>{content}</{name}>" if content else f"<{name}{declared}{attributes}/>"
