"""Citations of the specifications that a scenario shows, in a form that `tools/spec_refs.py` reads."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_NUMBER: Final = re.compile(r"\d{4}")
_SECTION: Final = re.compile(r"\d+(\.\d+)*")


def rfc(number: str, *sections: str) -> Callable[[F], F]:
    """Say which sections of an RFC the scenario shows."""
    return _cite("RFC ", number, sections)


def xep(number: str, *sections: str) -> Callable[[F], F]:
    """Say which sections of a XEP the scenario shows."""
    return _cite("XEP-", number, sections)


def cited(scenario: object) -> tuple[str, ...]:
    """What a scenario cites, such as `RFC 6120 §4.9.3.3`."""
    return tuple(getattr(scenario, "cites", ()))


def _cite(series: str, number: str, sections: tuple[str, ...]) -> Callable[[F], F]:
    if not _NUMBER.fullmatch(number) or not sections or not all(_SECTION.fullmatch(section) for section in sections):
        raise ValueError(f"a citation is a number of four digits and sections such as 4.9.3.3, not {number} {sections}")

    def decorate(scenario: F) -> F:
        added = tuple(f"{series}{number} §{section}" for section in sections)
        scenario.cites = (*added, *cited(scenario))  # type: ignore[attr-defined]  # a function takes any attribute
        return scenario

    return decorate
