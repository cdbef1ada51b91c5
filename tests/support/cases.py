"""Many small cases against one server: a failure names its case."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def case(*what: object) -> Iterator[None]:
    """Name the case in a failure of this block."""
    try:
        yield
    except (AssertionError, TimeoutError) as problem:
        problem.add_note(f"in the case {', '.join(repr(part)[:200] for part in what)}")
        raise
