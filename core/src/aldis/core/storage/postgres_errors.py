"""What a connection to PostgreSQL that could not be made says to an operator, and what to do about it."""

import os
import socket
import ssl

import asyncpg

FAILURES = (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What making a connection may raise; a ValueError is an address that makes no sense."""

MENDS = {
    "28P01": "set the role's password in database.url or database.url_file",
    "28000": "let the role in in the server's pg_hba.conf",
    "3D000": "make the database, with the role as its owner",
    "53300": "raise the server's max_connections",
    "57P03": "try again when it has started",
    "42704": "see that the parameters in database.url are spelt right, and that it is PostgreSQL 14 or newer",
    "42501": "make the role the owner of the database",
}
RUNS = "see that PostgreSQL runs and listens there"
MAKES_SENSE = "give it as postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE, what is special in the password as %XX"


def told(error: BaseException, patience: float) -> tuple[str, str]:
    """The reason and the mend; neither holds a password."""
    if isinstance(error, asyncpg.PostgresError):
        return first_line(error), MENDS.get(error.sqlstate or "", "see the server's log")
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or first_line(error)}", "see that sslmode and sslrootcert in database.url fit the server's certificate"
    if isinstance(error, socket.gaierror):
        return f"the host has no address ({error.strerror})", "give another host in database.url"
    if isinstance(error, TimeoutError):
        return f"did not answer within {patience:g} s", RUNS
    if isinstance(error, OSError):
        return (os.strerror(error.errno).lower() if error.errno else first_line(error)), RUNS
    if isinstance(error, ValueError) and not isinstance(error, asyncpg.InterfaceError):
        return "the address makes no sense", MAKES_SENSE  # its own text may quote the address
    return first_line(error), MAKES_SENSE


def first_line(error: BaseException) -> str:
    """The text of an error, in one line."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
