"""The gateway's tables. Statements of the hot paths are written out in the repositories; these serve the queries that are composed."""

from sqlalchemy import BigInteger, Boolean, Column, Computed, Integer, LargeBinary, MetaData, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP, UUID

from mesh.idempotency.tables import repeatable_calls_of

metadata = MetaData()

_TIME = TIMESTAMP(timezone=True)

# Partitioned by range of id, by month; see partitions.py. Status, channel and priority hold the numbers of the schema's enums.
# A row in status PENDING or SCHEDULED whose dispatch_at has come means "publish me".
notifications = Table(
    "notifications",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("project", Text(collation="C"), nullable=False),
    Column("test", Boolean, nullable=False),
    Column("user_id", UUID(as_uuid=True), nullable=False),
    Column("channel", SmallInteger, nullable=False),
    Column("template", Text, nullable=False),
    Column("template_version", Integer, nullable=False),
    Column("locale", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("category", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("run", SmallInteger, nullable=False),
    Column("attempt", SmallInteger, nullable=False),
    Column("metadata", JSONB, nullable=True),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
    Column("send_at", _TIME, nullable=True),
    Column("expires_at", _TIME, nullable=True),
    Column("dispatch_at", _TIME, nullable=False),
    Column("queued_at", _TIME, nullable=True),
    Column("caller", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("payload", LargeBinary, nullable=True),
    Column("resent_from", UUID(as_uuid=True), nullable=True),
)

# What happened, partitioned like notifications. The first entries (accepted, queued) are columns of the notification.
timeline = Table(
    "timeline",
    metadata,
    Column("notification_id", UUID(as_uuid=True), primary_key=True),
    Column("run", SmallInteger, primary_key=True),
    Column("attempt", SmallInteger, primary_key=True),
    Column("status", SmallInteger, primary_key=True),
    Column("mark", BigInteger, primary_key=True),
    Column("time", _TIME, nullable=False),
    Column("start_time", _TIME, nullable=True),
    Column("next_attempt_time", _TIME, nullable=True),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("devices", JSONB, nullable=True),
    Column("provider", Text, nullable=False),
)

# What happened to notifications, written by a trigger (migration 0010) and, of a fact, with it.
changes = Table(
    "changes",
    metadata,
    Column("seq", BigInteger, primary_key=True),
    Column("project", Text(collation="C"), nullable=False),
    Column("notification_id", UUID(as_uuid=True), nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("run", SmallInteger, nullable=False),
    Column("attempt", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("time", _TIME, nullable=False),
    Column("fact", SmallInteger, nullable=False),
)

# What became known of notifications after they were sent. `source_key` is the reporter's name for the event: a repeated one has the same.
delivery_facts = Table(
    "delivery_facts",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("notification_id", UUID(as_uuid=True), primary_key=True),
    Column("source_key", Text(collation="C"), primary_key=True),
    Column("fact", SmallInteger, nullable=False),
    Column("time", _TIME, nullable=False),
    Column("provider", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("create_time", _TIME, nullable=False),
)

# The order in which readers see changes: `seqs` stand at `first_position` and behind it.
change_batches = Table(
    "change_batches",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("first_position", BigInteger, primary_key=True),
    Column("seqs", ARRAY(BigInteger), nullable=False),
    Column("create_time", _TIME, nullable=False),
)

# One row: the snapshot of the last batch, and the greatest `seq` in one.
change_horizon = Table("change_horizon", metadata, Column("snapshot", Text, nullable=False), Column("seq", BigInteger, nullable=False))

# How often what happened: by the minute (`span_s` 60) and later by the hour. `bucket` is the range of a latency, -1 for what has none.
activity = Table(
    "activity",
    metadata,
    Column("project", Text(collation="C"), primary_key=True),
    Column("test", Boolean, primary_key=True),
    Column("span_s", Integer, primary_key=True),
    Column("time", _TIME, primary_key=True),
    Column("channel", SmallInteger, primary_key=True),
    Column("template", Text(collation="C"), primary_key=True),
    # 0 for what was counted before versions were.
    Column("template_version", Integer, primary_key=True),
    Column("status", SmallInteger, primary_key=True),
    Column("fact", SmallInteger, primary_key=True),
    Column("bucket", SmallInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# `digest` is SHA-256 of caller, method and key; `response` is a packed Acceptance.
idempotency_records = Table(
    "idempotency_records",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("notification_id", UUID(as_uuid=True), nullable=False),
    Column("create_time", _TIME, nullable=False),
)

repeatable_calls = repeatable_calls_of(metadata)

# `delivery` is the serialized Delivery as it was last tried: a requeue continues from it.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("notification_id", UUID(as_uuid=True), primary_key=True),
    Column("project", Text(collation="C"), nullable=False),
    Column("user_id", UUID(as_uuid=True), nullable=False),
    Column("channel", SmallInteger, nullable=False),
    Column("template", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("run", SmallInteger, nullable=False),
    Column("cause", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("resolve_time", _TIME, nullable=True),
    Column("resolved_by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("delivery", LargeBinary, nullable=True),
)

# `steps` is a list of [name, state, start, end]; the states hold the numbers of the schema's enums. `due_at` is when a process may take the
# saga: its next try, or the end of the lease of the process that is at it. `project` is generated from `data`.
sagas = Table(
    "sagas",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("steps", JSONB, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("faults", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
    Column("due_at", _TIME, nullable=False),
    Column("project", Text(collation="C"), Computed("COALESCE(data->>'project', 'default')")),
)

# What a job has still to decide (`result` is NULL), has decided ('') or could not decide (the reason).
dead_letter_job_items = Table(
    "dead_letter_job_items",
    metadata,
    Column("job_id", UUID(as_uuid=True), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("notification_id", UUID(as_uuid=True), nullable=False),
    Column("result", Text, nullable=True),
)

# `position` is the last place of the feed that was looked at for the endpoint. `lease_by` is who works for it until `lease_until`.
webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("project", Text(collation="C"), nullable=False),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("statuses", ARRAY(SmallInteger), nullable=False),
    Column("channel", SmallInteger, nullable=True),
    Column("template", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("old_secret", LargeBinary, nullable=True),
    Column("old_secret_until", _TIME, nullable=True),
    Column("position", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failing_since", _TIME, nullable=True),
    Column("hold_until", _TIME, nullable=True),
    Column("lease_by", LargeBinary, nullable=True),
    Column("lease_until", _TIME, nullable=True),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
    Column("user_id", UUID(as_uuid=True), nullable=True),
)

# `attempts` holds the last ones as [time, duration in ms, status, reason, reply].
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("endpoint_id", UUID(as_uuid=True), primary_key=True),
    Column("id", Text(collation="C"), primary_key=True),
    Column("type", Text, nullable=False),
    Column("position", BigInteger, nullable=True),
    Column("notification_id", UUID(as_uuid=True), nullable=True),
    Column("state", SmallInteger, nullable=False),
    Column("due_at", _TIME, nullable=True),
    Column("create_time", _TIME, nullable=False),
    Column("attempts", JSONB, nullable=False),
    Column("tries", SmallInteger, nullable=False),
)
