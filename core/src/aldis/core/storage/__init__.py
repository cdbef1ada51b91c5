"""Storage: the database, and the migrations that shape it."""

from aldis.core.storage.engine import Database
from aldis.core.storage.errors import MigrationError, StorageUnavailable

__all__ = ["Database", "MigrationError", "StorageUnavailable"]
