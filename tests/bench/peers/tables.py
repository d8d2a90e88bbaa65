"""The tables of both peers, by SQLAlchemy: open payments, the claims that were processed, and events to publish.

Every statement of the peers finds its rows by an index, and there is no index that no statement needs.
"""

from __future__ import annotations

from sqlalchemy import Column, DateTime, ForeignKey, MetaData, Numeric, Table, Text, create_mock_engine, func
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.schema import ExecutableDDLElement

METADATA = MetaData()
PAYMENTS = Table(
    "peer_payments",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("reference", Text, nullable=False, unique=True),
    Column("session_id", Text, nullable=False, unique=True),
    Column("amount", Numeric(14, 2), nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("transaction_id", Text, unique=True),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("completed_at", DateTime(timezone=True)),
)
CLAIMS = Table(
    "peer_claims",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("payment_id", Text, ForeignKey("peer_payments.id"), nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
EVENTS = Table(
    "peer_events",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("payment_id", Text, ForeignKey("peer_payments.id"), nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


def tables() -> str:
    """SQL that makes the tables anew."""
    statements = [f"DROP TABLE IF EXISTS {table.name}" for table in reversed(METADATA.sorted_tables)]

    def keep(made: ExecutableDDLElement, *_: object, **__: object) -> None:
        statements.append(str(made.compile(dialect=engine.dialect)))

    engine: MockConnection = create_mock_engine("postgresql+asyncpg://", keep)
    METADATA.create_all(engine)
    return ";".join(statements)
