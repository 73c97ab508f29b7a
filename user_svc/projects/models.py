"""What a project is."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Project:
    """A wall around people, templates, notifications and keys. The id never changes. Without `archive_time` it is in use."""

    id: str
    display_name: str
    create_time: datetime
    archive_time: datetime | None = None
