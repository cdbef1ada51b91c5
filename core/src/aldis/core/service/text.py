"""Text from strangers, made fit for one line of a log, a terminal or an error message."""

import json
import re

PLAIN = re.compile(r"[\w.@/:+%-]+", re.ASCII)
"""What needs no quotes; ASCII only, so that nothing in it can look like something else."""


def quoted(text: str, limit: int = 200) -> str:
    r"""A value on one line, in quotes unless it is plain.

    Line ends, control characters, escape sequences and whatever else a terminal or a bidi algorithm could act on come out
    as `\uXXXX`, so that a hostile value can neither forge a line nor drive a terminal.
    """
    if len(text) > limit:
        text = text[:limit] + "…"
    if PLAIN.fullmatch(text):
        return text
    return one_line(json.dumps(text, ensure_ascii=False))


def one_line(text: str) -> str:
    r"""The text with everything in it that is not printable as `\uXXXX`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
