"""Storage: the database, and the migrations that shape it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.storage.engine import Database
from aldis.core.storage.errors import CommitUnknown, MigrationError, StorageUnavailable

__all__ = ["CommitUnknown", "Database", "MigrationError", "StorageUnavailable", "Transaction"]

Transaction = AsyncConnection
"""What a store is handed to write in, by this name for those who hand it on and know no SQL."""
