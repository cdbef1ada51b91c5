"""The base of everything that travels between services.

Messages are frozen and only grow: a receiver ignores what it does not know, a field is never renamed or re-typed,
and a breaking change is a new message with a new tag (design of the contracts: docs/architecture.md).
"""

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Base of the messages; the tag is the class's name."""


class Origin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a piece of work entered: whatever it causes is keyed by it, so that it happens once.

    `session` is unique over all producers and restarts, because it begins with the producer's incarnation;
    `n` counts what entered through it, from 1, without a gap.
    """

    session: str
    n: int
