"""Erasing a project's templates in PostgreSQL, in parts that a transaction can bear. What was done stays in the audit log of user_svc."""

from sqlalchemy import Table

from mesh.stores.database import Database
from mesh.stores.deleting import delete_in_parts
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


class ProjectErasureRepository:
    """Implements `erasure.servicer.Projects`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(self, project: str) -> None:
        for table in _TABLES:
            await delete_in_parts(self._database, table, table.c.project == project)
