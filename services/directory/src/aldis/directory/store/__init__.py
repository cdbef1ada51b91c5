"""Accounts in the project's own database."""

from aldis.directory.store.accounts import SqlAccounts

__all__ = ["SqlAccounts"]
