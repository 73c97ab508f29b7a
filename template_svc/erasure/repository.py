"""Erasing a project's templates in PostgreSQL, in parts that a transaction can bear. What was done stays in the audit log of user_svc."""

from sqlalchemy import Table, text

from mesh.stores.database import Database
from template_svc.tables import (
    attachment_uses,
    attachments,
    scheduled_publications,
    sender_domains,
    senders,
    template_canaries,
    template_partials,
    template_publications,
    template_versions,
    templates,
)

# What refers to another one comes before it.
_TABLES: tuple[Table, ...] = (
    attachment_uses, attachments, scheduled_publications, template_canaries, template_publications, template_versions, templates,
    template_partials, senders, sender_domains,
)  # fmt: skip
_AT_ONCE = 1000


class ProjectErasureRepository:
    """Implements `erasure.servicer.Projects`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(self, project: str) -> None:
        for table in _TABLES:
            some = f"SELECT ctid FROM {table.name} WHERE project = :project LIMIT {_AT_ONCE}"
            statement = text(f"DELETE FROM {table.name} WHERE ctid = ANY(ARRAY({some}))")
            gone = _AT_ONCE
            while gone == _AT_ONCE:
                async with self._database.begin() as connection:
                    gone = (await connection.execute(statement, {"project": project})).rowcount
