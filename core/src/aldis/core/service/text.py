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


def path_fault(text: str) -> str:
    """What is wrong with the text of a path, with the mend; empty if nothing is.

    A `~` is the shell's: a service may run without a HOME, or as another user than the one who wrote the settings.
    """
    if not text:
        return "must not be empty; name a file or folder"
    if "\0" in text:
        return "holds a NUL character, which no path can; mend it"
    if text.startswith("~"):
        return "~ is not expanded here; write the home folder's path out, or ./~ if that is its name"
    return ""


def one_line(text: str) -> str:
    r"""The text with everything in it that is not printable as `\uXXXX`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
