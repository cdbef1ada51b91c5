"""What a store may fail with beside its own mistakes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

OUR_FAULT = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISMATCH})
"""Primary result codes for wrong SQL; every other one (busy, full, I/O, corrupt, interrupted …) is the database's condition."""


class StorageUnavailable(Exception):
    """The database is broken, full, locked or too slow; the same work may succeed later, and nothing of it was kept."""


class MigrationError(Exception):
    """The database can't be brought to the shape that this program needs; the text says what to do."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's complaint about the database's condition into `StorageUnavailable`; our own mistakes pass as they are."""
    try:
        yield
    except PoolTimeout as error:
        raise StorageUnavailable("no connection was free in time") from error
    except DBAPIError as error:
        if is_our_fault(error):
            raise
        raise StorageUnavailable(str(error.orig)) from error


def is_our_fault(error: DBAPIError) -> bool:
    """Whether the statement was wrong, not the database's condition."""
    if isinstance(error, IntegrityError | ProgrammingError):
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)  # the primary code is the low byte
    return code is not None and code & 0xFF in OUR_FAULT
