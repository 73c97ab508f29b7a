"""The table of calls with an idempotency key, which each database has whose service carries such calls out."""

from sqlalchemy import Column, DateTime, Index, LargeBinary, MetaData, Table
from sqlalchemy.dialects.postgresql import UUID


def repeatable_calls_of(metadata: MetaData) -> Table:
    """`response` is a serialized message, sealed; NULL while the call runs, which `token` may do until `lease_until`."""
    time = DateTime(timezone=True)
    subject = Column("subject", UUID(as_uuid=True), nullable=True)
    return Table(
        "repeatable_calls",
        metadata,
        Column("digest", LargeBinary, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("token", LargeBinary, nullable=False),
        Column("lease_until", time, nullable=False),
        Column("create_time", time, nullable=False),
        Column("response", LargeBinary, nullable=True),
        subject,
        Index("repeatable_calls_create_time", "create_time"),
        Index("repeatable_calls_subject", "subject", postgresql_where=subject.is_not(None)),
    )
