"""The tables of the user database. Migrations create them; repositories read and write them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    false,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from mesh.idempotency.tables import repeatable_calls_of

metadata = MetaData()

_ID = Uuid(as_uuid=False)
_TIME = DateTime(timezone=True)


def _of_project(*, primary_key: bool = False) -> Column[str]:
    return Column("project", Text(collation="C"), ForeignKey("projects.id"), nullable=False, primary_key=primary_key)


def _of_user() -> Column[str]:
    return Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False)


projects = Table(
    "projects",
    metadata,
    Column("id", Text(collation="C"), primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("create_time", _TIME, nullable=False, server_default=func.now()),
    # NULL for one that is in use.
    Column("archive_time", _TIME),
    # Since when there is no way back; once `gone`, the id is all that is left.
    Column("erase_time", _TIME),
    Column("gone", Boolean, nullable=False, server_default=false()),
)

# Named sets of scopes. Which are built in stands in the code.
roles = Table(
    "roles",
    metadata,
    _of_project(primary_key=True),
    Column("id", Text(collation="C"), primary_key=True),
    Column("description", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", _ID, primary_key=True),
    _of_project(),
    Column("email", Text),
    Column("name", Text, nullable=False),
    Column("locale", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("password_hash", Text),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
    # When a preference was last changed: the rules themselves don't show it once one is removed.
    Column("preferences_time", _TIME),
    Column("external_id", Text(collation="C")),
    # Such as "22:00-07:30", or "off"; NULL where the project's apply.
    Column("quiet_hours", Text),
    # What templates read as members of `user`; NULL for none.
    Column("attributes", JSONB(none_as_null=True)),
    # When the address was proved to be theirs; a trigger forgets it when the address changes.
    Column("email_verify_time", _TIME),
    # Grows with each change of what a person proves themselves with.
    Column("credential_version", Integer, nullable=False, server_default="0"),
    # One of `roles`, beside what is built in.
    Column("assigned_role", Text(collation="C")),
    ForeignKeyConstraint(["project", "assigned_role"], ["roles.project", "roles.id"], name="users_assigned_role"),
)
Index("users_by_role", users.c.project, users.c.assigned_role, postgresql_where=users.c.assigned_role.is_not(None))
Index("users_external_id", users.c.project, users.c.external_id, unique=True)
Index("users_email", users.c.project, func.lower(users.c.email), unique=True)
Index("users_of_project", users.c.project, users.c.id)

# Beside `users.email`. One that is verified is no other person's; triggers on `users` keep the two apart.
user_addresses = Table(
    "user_addresses",
    metadata,
    _of_project(),
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("address", Text, nullable=False),
    Column("address_key", Text, Computed("lower(address)", persisted=True), primary_key=True),
    # Once it is verified.
    Column("becomes_primary", Boolean, nullable=False, server_default=false()),
    Column("verify_time", _TIME),
    # When one that is not verified is forgotten.
    Column("expire_time", _TIME),
)
_verified = user_addresses.c.verify_time.is_not(None)
Index("user_addresses_verified", user_addresses.c.project, user_addresses.c.address_key, unique=True, postgresql_where=_verified)
Index("user_addresses_by_end", user_addresses.c.expire_time, postgresql_where=user_addresses.c.expire_time.is_not(None))

devices = Table(
    "devices",
    metadata,
    Column("id", _ID, primary_key=True),
    _of_project(),
    _of_user(),
    Column("token", Text, nullable=False),
    # A token may be longer than what an index entry can hold.
    Column("token_sha256", LargeBinary, nullable=False),
    Column("platform", Text, nullable=False),
    Column("create_time", _TIME, nullable=False),
    # When the provider reported the token as gone; the row stays as a tombstone.
    Column("remove_time", _TIME),
    Column("remove_reason", Text, nullable=False, server_default=""),
    Column("app", Text, nullable=False, server_default=""),
    # When it was registered last; NULL where that was not kept, or was when it was made.
    Column("seen_time", _TIME),
)
Index("devices_by_token", devices.c.project, devices.c.token_sha256, unique=True)
Index("devices_of_user", devices.c.user_id, devices.c.id)

preferences = Table(
    "preferences",
    metadata,
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    # "*" means every channel; an empty category means every category, "template:welcome" one template.
    Column("channel", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("choice", Text, nullable=False),
)

# What a project decides for people who have not chosen. `rules` holds lists of channel, category and choice as `preferences` does.
delivery_policies = Table(
    "delivery_policies",
    metadata,
    _of_project(primary_key=True),
    Column("rules", JSONB, nullable=False),
    Column("quiet_hours", Text),
    Column("update_time", _TIME, nullable=False),
)

brands = Table(
    "brands",
    metadata,
    _of_project(primary_key=True),
    Column("name", Text, nullable=False),
    Column("color", Text, nullable=False),
    Column("logo", Text, nullable=False),
    Column("home_url", Text, nullable=False),
    Column("update_time", _TIME, nullable=False),
)

# `texts` holds [name, description] by locale.
categories = Table(
    "categories",
    metadata,
    _of_project(primary_key=True),
    Column("id", Text(collation="C"), primary_key=True),
    Column("texts", JSONB, nullable=False),
    Column("mandatory", Boolean, nullable=False),
    Column("limit_count", Integer),
    Column("limit_window_s", Integer),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
)

# The notifications that count for the limit of their category. `test` keeps what test keys send apart.
limited_notifications = Table(
    "limited_notifications",
    metadata,
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("category", Text(collation="C"), primary_key=True),
    Column("test", Boolean, primary_key=True),
    Column("notification_id", _ID, primary_key=True),
    Column("time", _TIME, nullable=False, server_default=func.now()),
)
Index("limited_notifications_by_time", limited_notifications.c.time)

suppressions = Table(
    "suppressions",
    metadata,
    _of_project(primary_key=True),
    Column("address", Text(collation="C"), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("evidence", Text, nullable=False, server_default=""),
    # NULL for one that never ends.
    Column("expire_time", _TIME),
)

# A table of its own, so that the release before, which knows one entry per address, goes on with the other.
category_suppressions = Table(
    "category_suppressions",
    metadata,
    _of_project(primary_key=True),
    Column("address", Text(collation="C"), primary_key=True),
    Column("category", Text(collation="C"), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("evidence", Text, nullable=False, server_default=""),
    Column("expire_time", _TIME),
)
for _list in (suppressions, category_suppressions):
    Index(f"{_list.name}_by_end", _list.c.expire_time, postgresql_where=_list.c.expire_time.is_not(None))

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _ID, primary_key=True),
    _of_project(),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("key_sha256", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    # The id of the person or key that made it; "environment" for the first one.
    Column("created_by", Text, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("expire_time", _TIME),
    # A revoked key stays as its own tombstone: the same secret is never accepted again.
    Column("revoke_time", _TIME),
    # Lists of names by kind; NULL for a key that is not narrowed.
    Column("restrictions", JSONB(none_as_null=True)),
)
Index("api_keys_of_maker", api_keys.c.created_by)

# What was revoked lately, until every process knows it. Subjects are those of `mesh.rpc.revocations`.
revocations = Table(
    "revocations",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("create_time", _TIME, nullable=False, server_default=func.now()),
    Column("published", Boolean, nullable=False, server_default=false()),
)
Index("revocations_by_time", revocations.c.create_time)
Index("revocations_unpublished", revocations.c.id, postgresql_where=~revocations.c.published)

# What the environment asked for at the first start was made: it is not made again after it was deleted.
bootstraps = Table("bootstraps", metadata, Column("name", Text, primary_key=True), Column("create_time", _TIME, server_default=func.now()))

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sealed_private_key", LargeBinary, nullable=False),
    Column("create_time", _TIME, nullable=False),
    # When another key took over; tokens that it signed before stay valid until they expire.
    Column("retire_time", _TIME),
)
_active = signing_keys.c.retire_time.is_(None)
Index("signing_keys_one_active", _active, unique=True, postgresql_where=_active)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_sha256", LargeBinary, primary_key=True),
    _of_user(),
    # All tokens that came from one login.
    Column("family", _ID, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("expire_time", _TIME, nullable=False),
    Column("use_time", _TIME),
    # What the session may do; NULL where it is what the person's role may.
    Column("scopes", ARRAY(Text)),
    # When the session ends, however much it is used; NULL where use prolongs it.
    Column("session_end", _TIME),
    # Beside `scopes`, those of `roles` that an issuer's groups give, as they are when an access token is made.
    Column("roles", ARRAY(Text), nullable=False, server_default="{}"),
)
Index("refresh_tokens_of_user", refresh_tokens.c.user_id)
Index("refresh_tokens_of_family", refresh_tokens.c.family)

# Who is who at issuers of OpenID Connect.
identities = Table(
    "identities",
    metadata,
    _of_project(primary_key=True),
    Column("issuer", Text(collation="C"), primary_key=True),
    Column("subject", Text(collation="C"), primary_key=True),
    _of_user(),
    Column("create_time", _TIME, nullable=False),
    # What the person's groups there last let them do; NULL where that was not kept yet.
    Column("scopes", ARRAY(Text)),
    # And by which of `roles`.
    Column("roles", ARRAY(Text), nullable=False, server_default="{}"),
)
Index("identities_of_user", identities.c.user_id)

# Sign-ins at issuers that have come back, until they would be too old anyway.
used_sign_ins = Table("used_sign_ins", metadata, Column("id", _ID, primary_key=True), Column("expire_time", _TIME, nullable=False))
Index("used_sign_ins_by_time", used_sign_ins.c.expire_time)

# The audit log; triggers keep its entries as they are. `project` is no reference: what was done in a project outlives it.
audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("project", Text(collation="C"), nullable=False),
    Column("time", _TIME, nullable=False, server_default=func.now()),
    Column("kind", Text, nullable=False),
    Column("actor", Text(collation="C"), nullable=False),
    Column("subject", Text(collation="C"), nullable=False),
    Column("details", JSONB, nullable=False),
    Column("correlation_id", Text, nullable=False),
    # Its id at the service that has handed it over.
    Column("origin", _ID),
)
Index("audit_events_by_origin", audit_events.c.origin, unique=True, postgresql_where=audit_events.c.origin.is_not(None))
Index("audit_events_of_project", audit_events.c.project, audit_events.c.time, audit_events.c.id)
Index("audit_events_of_kind", audit_events.c.project, audit_events.c.kind, audit_events.c.time, audit_events.c.id)
Index("audit_events_of_subject", audit_events.c.project, audit_events.c.subject, audit_events.c.time, audit_events.c.id)
Index("audit_events_of_actor", audit_events.c.project, audit_events.c.actor, audit_events.c.time, audit_events.c.id)
Index("audit_events_by_time", audit_events.c.time)

# What a mail proves an account by, as a hash. Without a person it is a request that led to no mail, kept so that it costs what others cost.
account_links = Table(
    "account_links",
    metadata,
    Column("id", _ID, primary_key=True),
    _of_project(),
    Column("purpose", Text, nullable=False),
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE")),
    Column("address", Text, nullable=False),
    Column("token_sha256", LargeBinary, nullable=False),
    Column("create_time", _TIME, nullable=False, server_default=func.now()),
    Column("expire_time", _TIME, nullable=False),
    # When the gateway last took it, and when it had accepted the mail.
    Column("claim_time", _TIME),
    Column("send_time", _TIME),
    Column("use_time", _TIME),
    # That of the person when it was made: a link that replaces a password ends with this password.
    Column("credential_version", Integer, nullable=False, server_default="0"),
    # The mail that holds it, where a person may have asked for several at once.
    Column("notification_id", _ID),
)
Index("account_links_of_address", account_links.c.project, func.lower(account_links.c.address), account_links.c.create_time)
Index("account_links_by_token", account_links.c.token_sha256, unique=True)
Index("account_links_of_user", account_links.c.user_id, account_links.c.purpose, account_links.c.create_time)
Index(
    "account_links_to_send",
    account_links.c.create_time,
    postgresql_where=account_links.c.send_time.is_(None) & account_links.c.user_id.is_not(None),
)
Index("account_links_by_end", account_links.c.expire_time)

# Of who signs in by password. Without `confirm_time` it does not count yet; `last_step` is that of the code that was used last.
second_factors = Table(
    "second_factors",
    metadata,
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("create_time", _TIME, nullable=False, server_default=func.now()),
    Column("confirm_time", _TIME),
    Column("last_step", BigInteger),
    Column("wrong_count", Integer, nullable=False, server_default="0"),
    Column("wrong_time", _TIME),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user_id", _ID, ForeignKey("second_factors.user_id", ondelete="CASCADE"), primary_key=True),
    Column("code_sha256", LargeBinary, primary_key=True),
)

repeatable_calls = repeatable_calls_of(metadata)
