"""What a store may fail with beside its own mistakes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

OUR_FAULT = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISMATCH})
"""SQLite's primary result codes for wrong SQL; every other one (busy, full, I/O, corrupt, interrupted …) is the database's condition."""
OUR_CLASSES = frozenset({"0A", "0L", "0P", "20", "21", "22", "23", "24", "25", "26", "2B", "2F", "34", "38", "39", "3B", "42", "44", "P0"})
"""Classes of SQLSTATE for wrong SQL; every other one (resources, shutdown, authorization …) is the database's condition."""
NOT_OURS = frozenset({"25006", "25P03", "42501"})
"""Those among them that are not: a read-only standby, a transaction that stood idle too long, rights that the operator gives."""
CONTENTION = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock: nothing is wrong, and the next try may do."""


class StorageUnavailable(Exception):
    """The database is broken, full, locked, away or too slow; the same work may succeed later, and nothing of it was kept."""

    def __init__(self, reason: str, mend: str = "") -> None:
        super().__init__(reason)
        self.mend = mend
        """What an operator can do about it, where that is known."""


class TryAgain(StorageUnavailable):
    """The same work may succeed at once: it met another one, or a connection that had died."""


class CommitUnknown(StorageUnavailable):
    """The connection was lost in the commit: it may have been kept after all."""


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
        kind = TryAgain if error.connection_invalidated or sqlstate(error) in CONTENTION else StorageUnavailable
        raise kind(reason(error)) from error


def is_our_fault(error: DBAPIError) -> bool:
    """Whether the statement was wrong, not the database's condition."""
    state = sqlstate(error)
    if state:
        return state[:2] in OUR_CLASSES and state not in NOT_OURS
    if error.connection_invalidated:
        return False
    if isinstance(error, IntegrityError | ProgrammingError | InterfaceError):
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)  # the primary code is the low byte
    return code is not None and code & 0xFF in OUR_FAULT


def sqlstate(error: DBAPIError) -> str:
    """The SQLSTATE that PostgreSQL gave; empty if there is none."""
    return getattr(error.orig, "sqlstate", None) or ""


def reason(error: DBAPIError) -> str:
    """The driver's complaint, in one line."""
    lines = str(error.orig).splitlines()
    return lines[0] if lines else type(error.orig).__name__
