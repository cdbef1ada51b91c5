"""The directory's tables, as its migrations leave them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

accounts = Table(
    "directory_accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("domain", Text, nullable=False),
    Column("localpart", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    UniqueConstraint("domain", "localpart"),
)

credentials = Table(
    "directory_credentials",
    metadata,
    Column("account", Integer, ForeignKey("directory_accounts.id"), primary_key=True),
    Column("mechanism", Text, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("iterations", Integer, nullable=False),
    Column("stored_key", LargeBinary, nullable=False),
    Column("server_key", LargeBinary, nullable=False),
)

notices = Table(
    "directory_notices",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("localpart", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("since", Float, nullable=False),
)

secrets = Table(
    "directory_secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
