"""The tables of the template database. Migrations create them; the repository reads and writes them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from mesh.idempotency.tables import repeatable_calls_of

metadata = MetaData()

_TIME = DateTime(timezone=True)

templates = Table(
    "templates",
    metadata,
    # "C" so that pages are in the order of bytes, wherever the database was made.
    Column("project", Text(collation="C"), primary_key=True),
    Column("name", Text(collation="C"), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("mandatory", Boolean, nullable=False),
    Column("on_unknown", Text, nullable=False),
    Column("default_locale", Text, nullable=False),
    Column("published_version", Integer, nullable=False),
    Column("latest_version", Integer, nullable=False),
    # The greatest number that was ever given out under this name; it outlives a deletion, because caches know texts by name and number.
    Column("last_number", Integer, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
    # Out of use from then on, until it is restored.
    Column("archive_time", _TIME),
    Column("archived_by", Text, nullable=False),
    Column("delete_time", _TIME),
)
Index(
    "templates_by_channel", templates.c.project, templates.c.channel, templates.c.name, postgresql_where=templates.c.delete_time.is_(None)
)

template_versions = Table(
    "template_versions",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("template", Text(collation="C"), primary_key=True),
    Column("version", Integer, primary_key=True),
    # One document, since a version is written once and always read as a whole: {locale: {part: source}}.
    Column("contents", JSONB, nullable=False),
    # What is made of the contents when the version is created: {locale: {part: source}}.
    Column("derived", JSONB, nullable=False),
    # {locale: {"formula": of the plurals, "forms": {text: [forms]}, "file": the PO file}}
    Column("catalogs", JSONB, nullable=False),
    # What a catalogue can translate: [[part, line, context, text, plural, [variables]]].
    Column("messages", JSONB, nullable=False),
    # {locale: [variables of the default locale that it does not mention]}
    Column("unused_variables", JSONB, nullable=False),
    # Lists of rule, field, line and description.
    Column("findings", JSONB, nullable=False),
    # Empty for none.
    Column("variables_schema", JSONB, nullable=False),
    # The revision of each partial that was taken in.
    Column("partials", JSONB, nullable=False),
    # Those of contents and catalogs.
    Column("locales", ARRAY(Text), nullable=False),
    Column("required_variables", ARRAY(Text), nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("archive_time", _TIME),
    Column("archived_by", Text, nullable=False),
    # Name of a sender; empty for the project's default one.
    Column("sender", Text, nullable=False, server_default=""),
    ForeignKeyConstraint(["project", "template"], ["templates.project", "templates.name"], ondelete="CASCADE"),
)

# Which versions came into use, by whom and why: the history of a template, which goes with it.
template_publications = Table(
    "template_publications",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("template", Text(collation="C"), primary_key=True),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("previous_version", Integer, nullable=False),
    Column("publish_time", _TIME, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("note", Text, nullable=False),
    # The scheduled publication that was carried out.
    Column("plan", UUID(as_uuid=True)),
    ForeignKeyConstraint(["project", "template"], ["templates.project", "templates.name"], ondelete="CASCADE"),
)

# Versions that are to come into use, and what became of that; they go with their template.
scheduled_publications = Table(
    "scheduled_publications",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("id", UUID(as_uuid=True), primary_key=True),
    # The order in which they were planned.
    Column("seq", BigInteger, Identity(), nullable=False),
    Column("template", Text(collation="C"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("publish_at", _TIME, nullable=False),
    Column("previous_version", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("scheduled_by", Text, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("end_time", _TIME),
    Column("ended_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("description", Text, nullable=False),
    # Of one that failed: the id of the template's last publication before that, 0 for none.
    Column("last_publication", BigInteger),
    ForeignKeyConstraint(["project", "template"], ["templates.project", "templates.name"], ondelete="CASCADE"),
)
_WAITS = scheduled_publications.c.state == "planned"
Index("scheduled_publications_due", scheduled_publications.c.publish_at, postgresql_where=_WAITS)
Index(
    "scheduled_publications_waiting",
    scheduled_publications.c.project,
    scheduled_publications.c.template,
    unique=True,
    postgresql_where=_WAITS,
)
Index("scheduled_publications_in_order", scheduled_publications.c.project, scheduled_publications.c.seq)

# Versions that a share of the notifications gets; they go with their template.
template_canaries = Table(
    "template_canaries",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("template", Text(collation="C"), primary_key=True),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("percent", Integer, nullable=False),
    Column("unit", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("start_time", _TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("end_time", _TIME),
    Column("ended_by", Text, nullable=False),
    # The one in use when it ended; 0 while it runs.
    Column("published_version", Integer, nullable=False),
    ForeignKeyConstraint(["project", "template"], ["templates.project", "templates.name"], ondelete="CASCADE"),
)
Index(
    "template_canaries_running",
    template_canaries.c.project,
    template_canaries.c.template,
    unique=True,
    postgresql_where=template_canaries.c.state == "running",
)

template_partials = Table(
    "template_partials",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("name", Text(collation="C"), primary_key=True),
    Column("source", Text, nullable=False),
    # Goes on after a deletion, so that a number never means two texts.
    Column("revision", Integer, nullable=False),
    Column("update_time", _TIME, nullable=False),
    Column("delete_time", _TIME),
)

# A domain and the DKIM key whose public half its owner publishes, by which the domain is known to be theirs.
sender_domains = Table(
    "sender_domains",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("domain", Text(collation="C"), primary_key=True),
    Column("selector", Text, nullable=False),
    # Base64 of the SubjectPublicKeyInfo in DER, as the record holds it.
    Column("public_key", Text, nullable=False),
    # PKCS #8 in DER, sealed.
    Column("sealed_key", LargeBinary, nullable=False),
    Column("verified", Boolean, nullable=False, server_default="false"),
    Column("problem", Text, nullable=False, server_default=""),
    Column("create_time", _TIME, nullable=False),
    Column("check_time", _TIME),
    # The key that takes the place of the present one once DNS shows its record; none where none waits.
    Column("next_selector", Text),
    Column("next_public_key", Text),
    Column("next_sealed_key", LargeBinary),
    Column("next_problem", Text, nullable=False, server_default=""),
    # The key before, for its record only, and since when the present one signs in its place.
    Column("former_selector", Text),
    Column("former_public_key", Text),
    Column("rotate_time", _TIME),
)

senders = Table(
    "senders",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("name", Text(collation="C"), primary_key=True),
    Column("email", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("reply_to_email", Text, nullable=False),
    Column("is_default", Boolean, nullable=False),
    # The sender domain that allows the address; none for one that the installation trusts.
    Column("domain", Text(collation="C")),
    Column("update_time", _TIME, nullable=False),
    ForeignKeyConstraint(["project", "domain"], ["sender_domains.project", "sender_domains.domain"]),
)
Index("senders_one_default", senders.c.project, unique=True, postgresql_where=senders.c.is_default)
Index("senders_by_domain", senders.c.project, senders.c.domain)

# What is to stand in the audit log, which user_svc keeps; a row goes once it is there.
audit_outbox = Table(
    "audit_outbox",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("id", UUID(as_uuid=False), nullable=False, server_default=func.gen_random_uuid()),
    Column("project", Text(collation="C"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("create_time", _TIME, nullable=False, server_default=func.now()),
)

# Files that mails carry. `id` is SHA-256 of the content; `keep_until` the end of the longest use, by this database's clock.
attachments = Table(
    "attachments",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("id", LargeBinary, primary_key=True),
    Column("size_bytes", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("keep_until", _TIME, nullable=False),
    # Whether a notification has carried it.
    Column("used", Boolean, nullable=False, server_default="false"),
)
Index("attachments_by_end", attachments.c.keep_until)
Index("attachments_unused", attachments.c.project, postgresql_where=~attachments.c.used)

attachment_uses = Table(
    "attachment_uses",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("attachment", LargeBinary, primary_key=True),
    Column("notification_id", UUID(as_uuid=True), primary_key=True),
    Column("user_id", UUID(as_uuid=True), nullable=False),
    Column("keep_until", _TIME, nullable=False),
    ForeignKeyConstraint(["project", "attachment"], ["attachments.project", "attachments.id"], ondelete="CASCADE"),
)
Index("attachment_uses_by_person", attachment_uses.c.user_id)
Index("attachment_uses_by_end", attachment_uses.c.keep_until)

repeatable_calls = repeatable_calls_of(metadata)
