"""In-memory stand-ins for PostgreSQL: one class per port, all over one `Memory`, so that deleting a person reaches everything."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime

from mesh import ids
from mesh.etag import check_etag
from tests.user_svc.factories import START
from user_svc.auth.api_keys import within_maker
from user_svc.auth.errors import MakerGone
from user_svc.auth.models import SCOPES_OF_ROLE, ApiKey, Login, RefreshToken, Rotation, RotationOutcome, SessionOwner, SigningKey
from user_svc.devices.errors import TooManyDevices
from user_svc.devices.models import MAX_DEVICES, Device
from user_svc.policies.models import Category, DeliveryPolicy, ProjectRules
from user_svc.preferences.errors import TooManyRules
from user_svc.preferences.models import MAX_RULES, Choice, PreferenceChanges, Preferences
from user_svc.preferences.unsubscribing import Person
from user_svc.recipients.models import Address, Contact, Limited, NewUser, PushTarget, UserReference
from user_svc.suppressions.models import Suppression
from user_svc.users.errors import EmailTaken, ExternalIdTaken
from user_svc.users.models import Role, User, UserChanges


@dataclass
class Memory:
    """All tables."""

    users: dict[str, User] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)  # by the person's id
    password_hashes: dict[str, str | None] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    preferences: dict[str, Preferences] = field(default_factory=dict)
    suppressions: dict[Address, Suppression] = field(default_factory=dict)
    refresh_tokens: dict[bytes, RefreshToken] = field(default_factory=dict)
    used: set[bytes] = field(default_factory=set)
    api_keys: dict[str, ApiKey] = field(default_factory=dict)
    signing_keys: dict[str, SigningKey] = field(default_factory=dict)
    policies: dict[str, DeliveryPolicy] = field(default_factory=dict)
    categories: dict[tuple[str, str], Category] = field(default_factory=dict)
    limited: dict[tuple[str, str, bool], set[str]] = field(default_factory=dict)

    def user(self, project: str, user_id: str) -> User | None:
        """The project's person."""
        return self.users.get(user_id) if self.projects.get(user_id) == project else None


class MemoryUsers:
    """Implements UserStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def insert(self, project: str, user: User, password_hash: str | None) -> None:
        self._refuse_taken(project, user.email, user.id, user.external_id)
        self._memory.users[user.id] = user
        self._memory.projects[user.id] = project
        self._memory.password_hashes[user.id] = password_hash

    async def find(self, project: str, user_id: str) -> User | None:
        return self._memory.user(project, user_id)

    async def update(self, project: str, user_id: str, changes: UserChanges, now: datetime, *, etag: str = "") -> User | None:
        user = self._memory.user(project, user_id)
        if user is not None:
            check_etag(etag, user.etag)
        values = {each.name: getattr(changes, each.name) for each in fields(changes) if getattr(changes, each.name) is not None}
        if user is None or not values:
            return user
        self._refuse_taken(project, values.get("email", ""), user_id, values.get("external_id", ""))
        self._memory.users[user_id] = replace(user, **values, update_time=now)
        return self._memory.users[user_id]

    async def resolve(self, project: str, reference: str) -> str | None:
        if self._memory.user(project, ids.canonical(reference) or "") is not None:
            return ids.canonical(reference)
        own = [user for user in self._memory.users.values() if self._memory.projects[user.id] == project]
        return next((user.id for user in own if user.external_id == reference), None)

    async def upsert_many(
        self, project: str, people: Sequence[UserChanges], defaults: UserChanges, now: datetime, *, administrators: bool
    ) -> Mapping[str, str]:
        before, found = (dict(self._memory.users), dict(self._memory.projects)), dict[str, str]()
        try:
            for person in people:
                external_id = person.external_id or ""
                user_id = await self.resolve(project, external_id)
                given = replace(person, **{each.name: getattr(person, each.name) or None for each in fields(person)})
                if user_id is None:
                    locale, timezone = str(given.locale or defaults.locale), str(given.timezone or defaults.timezone)
                    names = given.email or "", given.name or ""
                    user = User(ids.new_id(), *names, locale, timezone, Role.MEMBER, now, now, external_id)
                    await self.insert(project, user, None)
                    found[external_id] = user.id
                elif administrators or self._memory.users[user_id].role is not Role.ADMINISTRATOR:
                    await self.update(project, user_id, given, now)
                    found[external_id] = user_id
        except EmailTaken:
            self._memory.users, self._memory.projects = before
            raise
        return found

    async def delete(self, project: str, user_id: str) -> bool:
        memory = self._memory
        if memory.user(project, user_id) is None:
            return False
        memory.preferences.pop(user_id, None)
        memory.devices = {key: device for key, device in memory.devices.items() if device.user_id != user_id}
        memory.refresh_tokens = {key: token for key, token in memory.refresh_tokens.items() if token.user_id != user_id}
        return memory.users.pop(user_id, None) is not None

    async def list_newest_first(self, project: str, email: str, before_id: str | None, limit: int) -> Sequence[User]:
        own = [user for user in self._memory.users.values() if self._memory.projects[user.id] == project]
        newest = sorted(own, key=lambda user: user.id, reverse=True)
        fitting = [user for user in newest if not email or user.email.lower() == email.lower()]
        return [user for user in fitting if before_id is None or user.id < before_id][:limit]

    def _refuse_taken(self, project: str, email: str, user_id: str, external_id: str) -> None:
        others = [user for user in self._memory.users.values() if user.id != user_id and self._memory.projects[user.id] == project]
        if email and any(user.email.lower() == email.lower() for user in others):
            raise EmailTaken
        if external_id and any(user.external_id == external_id for user in others):
            raise ExternalIdTaken


class MemoryDevices:
    """Implements DeviceStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def register(self, project: str, device: Device) -> Device | None:
        if self._memory.user(project, device.user_id) is None:
            return None
        own = [each for each in self._memory.devices.values() if self._memory.projects[each.user_id] == project]
        known = next((each for each in own if each.token == device.token), None)
        if known is not None and known.user_id == device.user_id:
            self._memory.devices[known.id] = replace(known, platform=device.platform, remove_time=None, remove_reason="")
            return self._memory.devices[known.id]
        if sum(each.user_id == device.user_id and each.remove_time is None for each in self._memory.devices.values()) >= MAX_DEVICES:
            raise TooManyDevices
        if known is not None:
            del self._memory.devices[known.id]
        self._memory.devices[device.id] = device
        return device

    async def list_newest_first(self, project: str, user_id: str, *, removed: bool = False) -> Sequence[Device] | None:
        if self._memory.user(project, user_id) is None:
            return None
        owned = [device for device in self._memory.devices.values() if device.user_id == user_id]
        owned = [device for device in owned if removed or device.remove_time is None]
        return sorted(owned, key=lambda device: device.id, reverse=True)

    async def delete(self, project: str, user_id: str, device_id: str) -> bool:
        device = self._memory.devices.get(device_id)
        if device is None or device.user_id != user_id or self._memory.user(project, user_id) is None:
            return False
        del self._memory.devices[device_id]
        return True


class MemoryPreferences:
    """Implements PreferenceStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def find(self, project: str, user_id: str) -> Preferences | None:
        if self._memory.user(project, user_id) is None:
            return None
        return self._memory.preferences.get(user_id, Preferences(user_id, (), None))

    async def update(self, project: str, user_id: str, changes: PreferenceChanges, now: datetime, *, etag: str = "") -> Preferences | None:
        before = await self.find(project, user_id)
        if before is None:
            return None
        check_etag(etag, before.etag)
        if changes.is_empty:
            return before
        by_key = {rule.about: rule for rule in (*before.rules, *changes.rules)}
        kept = [rule for rule in by_key.values() if rule.choice is not Choice.INHERIT]
        if len(kept) > MAX_RULES and not changes.beyond_limit:
            raise TooManyRules
        ordered = tuple(sorted(kept, key=lambda rule: (rule.channel.value, rule.subject)))
        hours = None if changes.inherit_quiet_hours else changes.quiet_hours or before.quiet_hours
        self._memory.preferences[user_id] = Preferences(user_id, ordered, now, hours)
        return self._memory.preferences[user_id]


class MemoryPolicies:
    """Implements PolicyStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def policy(self, project: str) -> DeliveryPolicy:
        return self._memory.policies.get(project, DeliveryPolicy())

    async def set_policy(self, project: str, change: Callable[[DeliveryPolicy], DeliveryPolicy], *, etag: str = "") -> DeliveryPolicy:
        present = await self.policy(project)
        check_etag(etag, present.etag)
        self._memory.policies[project] = change(present)
        return self._memory.policies[project]

    async def add(self, project: str, category: Category) -> bool:
        return self._memory.categories.setdefault((project, category.id), category) is category

    async def find(self, project: str, identifier: str) -> Category | None:
        return self._memory.categories.get((project, identifier))

    async def change(self, project: str, identifier: str, change: Callable[[Category], Category], *, etag: str = "") -> Category | None:
        present = self._memory.categories.get((project, identifier))
        if present is None:
            return None
        check_etag(etag, present.etag)
        self._memory.categories[project, identifier] = change(present)
        return self._memory.categories[project, identifier]

    async def delete(self, project: str, identifier: str) -> None:
        self._memory.categories.pop((project, identifier), None)

    async def list_by_id(self, project: str, after: str, limit: int) -> Sequence[Category]:
        found = sorted(key for key in self._memory.categories if key[0] == project and key[1] > after)
        return [self._memory.categories[key] for key in found[:limit]]

    async def rules_of(self, projects: Collection[str]) -> Mapping[str, ProjectRules]:
        return {project: await self._rules(project) for project in projects}

    async def _rules(self, project: str) -> ProjectRules:
        policy, known = await self.policy(project), await self.list_by_id(project, "", len(self._memory.categories))
        return ProjectRules(
            policy.rules,
            policy.quiet_hours,
            frozenset(category.id for category in known if category.mandatory),
            {category.id: category.limit for category in known if category.limit is not None},
        )


class MemorySuppressions:
    """Implements SuppressionStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, project: str, suppression: Suppression) -> Suppression:
        return self._memory.suppressions.setdefault(Address(project, suppression.address), suppression)

    async def delete(self, project: str, address: str) -> bool:
        return self._memory.suppressions.pop(Address(project, address), None) is not None

    async def find(self, project: str, address: str) -> Suppression | None:
        return self._memory.suppressions.get(Address(project, address))

    async def list_by_address(self, project: str, after_address: str, limit: int) -> Sequence[Suppression]:
        listed = sorted(self._memory.suppressions.items())
        return [entry for key, entry in listed if key.project == project and key.address > after_address][:limit]


class MemorySessions:
    """Implements SessionStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def find_login(self, project: str, email_key: str) -> Login | None:
        for user in self._memory.users.values():
            if user.email and user.email.lower() == email_key and self._memory.projects[user.id] == project:
                return await self.find_login_by_id(user.id)
        return None

    async def find_login_by_id(self, user_id: str) -> Login | None:
        user = self._memory.users.get(user_id)
        if user is None:
            return None
        return Login(user.id, self._memory.projects[user.id], user.role, self._memory.password_hashes[user.id], (user.email, user.name))

    async def change_password(self, user_id: str, *, old: str, new: str, token: RefreshToken) -> bool:
        if self._memory.password_hashes.get(user_id) != old:
            return False
        self._memory.password_hashes[user_id] = new
        self._memory.refresh_tokens = {key: each for key, each in self._memory.refresh_tokens.items() if each.user_id != user_id}
        self._store(token)
        return True

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> None:
        if self._memory.password_hashes.get(user_id) == old:
            self._memory.password_hashes[user_id] = new

    async def add_refresh_token(self, token: RefreshToken) -> bool:
        if token.user_id not in self._memory.users:
            return False
        self._store(token)
        return True

    async def rotate_refresh_token(self, sha256: bytes, next_sha256: bytes, *, now: datetime, expire_time: datetime) -> Rotation:
        token = self._memory.refresh_tokens.get(sha256)
        if token is None:
            return Rotation(RotationOutcome.UNKNOWN)
        if sha256 in self._memory.used:
            await self.revoke_family_of(sha256)
            return Rotation(RotationOutcome.REUSED)
        if token.expire_time <= now:
            return Rotation(RotationOutcome.EXPIRED)
        self._memory.used.add(sha256)
        self._store(RefreshToken(next_sha256, token.user_id, token.family, now, expire_time))
        role, project = self._memory.users[token.user_id].role, self._memory.projects[token.user_id]
        return Rotation(RotationOutcome.ROTATED, SessionOwner(token.user_id, project, role, token.family))

    async def revoke_family_of(self, sha256: bytes) -> None:
        token = self._memory.refresh_tokens.get(sha256)
        if token is not None:
            kept = {key: each for key, each in self._memory.refresh_tokens.items() if each.family != token.family}
            self._memory.refresh_tokens = kept

    def _store(self, token: RefreshToken) -> None:
        tokens = self._memory.refresh_tokens
        for key in [key for key, each in tokens.items() if each.user_id == token.user_id and each.expire_time <= token.create_time]:
            del tokens[key]
        tokens[token.sha256] = token


class MemoryApiKeys:
    """Implements ApiKeyStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add_first(self, key: ApiKey) -> bool:
        new = all(each.sha256 != key.sha256 for each in self._memory.api_keys.values())
        if new:
            self._memory.api_keys[key.id] = key
        return new

    async def add(self, key: ApiKey, now: datetime) -> ApiKey:
        maker, person = self._memory.api_keys.get(key.created_by), self._memory.users.get(key.created_by)
        if maker is not None and maker in self._working(now):
            kept = within_maker(key, frozenset(maker.scopes), maker.expire_time)
        elif person is not None:
            kept = within_maker(key, SCOPES_OF_ROLE[person.role], None)
        else:
            raise MakerGone
        self._memory.api_keys[key.id] = kept
        return kept

    async def find(self, sha256: bytes) -> ApiKey | None:
        return next((key for key in self._memory.api_keys.values() if key.sha256 == sha256), None)

    async def list_working(
        self, project: str, before_id: str | None, limit: int, now: datetime, *, family_of: str | None = None
    ) -> Sequence[ApiKey]:
        newest = sorted((key for key in self._working(now) if key.project == project), key=lambda key: key.id, reverse=True)
        family = None if family_of is None else self._family(family_of)
        return [key for key in newest if (before_id is None or key.id < before_id) and (family is None or key.id in family)][:limit]

    async def revoke(self, project: str, key_id: str, *, family_of: str | None = None) -> bool:
        key = self._memory.api_keys.get(key_id)
        if (
            key is None
            or key.project != project
            or key.revoke_time is not None
            or (family_of is not None and key_id not in self._family(family_of))
        ):
            return False
        for each in self._family(key_id):
            found = self._memory.api_keys[each]
            self._memory.api_keys[each] = replace(found, revoke_time=found.revoke_time or START)
        return True

    def _family(self, of: str) -> set[str]:
        family = {of} & self._memory.api_keys.keys()
        makers = {of}
        while made := {key.id for key in self._memory.api_keys.values() if key.created_by in makers} - family:
            family |= made
            makers = made
        return family

    def _working(self, now: datetime) -> list[ApiKey]:
        keys = self._memory.api_keys.values()
        return [key for key in keys if key.revoke_time is None and (key.expire_time is None or key.expire_time > now)]


class MemoryBootstraps:
    """Implements BootstrapRecord."""

    def __init__(self) -> None:
        self._done: set[str] = set()

    async def done(self, name: str) -> bool:
        return name in self._done

    async def record(self, name: str) -> None:
        self._done.add(name)


class MemorySigningKeys:
    """Implements SigningKeyStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def find_active(self) -> SigningKey | None:
        return next((key for key in self._memory.signing_keys.values() if key.retire_time is None), None)

    async def activate(self, key: SigningKey, *, instead_of: str | None) -> SigningKey:
        active = await self.find_active()
        if active is not None and active.kid != instead_of:
            return active
        if active is not None:
            self._memory.signing_keys[active.kid] = replace(active, retire_time=key.create_time)
        self._memory.signing_keys[key.kid] = key
        return key

    async def list_published(self, retired_since: datetime) -> Sequence[SigningKey]:
        newest = sorted(self._memory.signing_keys.values(), key=lambda key: key.create_time, reverse=True)
        return [key for key in newest if key.retire_time is None or key.retire_time > retired_since]


class MemoryContacts:
    """Implements ContactStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def contacts(self, wants_devices: Mapping[str, bool]) -> Mapping[str, Contact]:
        return {
            user_id: self._contact(self._memory.users[user_id], with_devices=with_devices)
            for user_id, with_devices in wants_devices.items()
            if user_id in self._memory.users
        }

    async def suppressed(self, addresses: Collection[Address]) -> Mapping[Address, str]:
        found = {address: self._memory.suppressions.get(address) for address in addresses}
        return {address: suppression.reason for address, suppression in found.items() if suppression is not None}

    async def resolve(self, references: Collection[UserReference]) -> Mapping[UserReference, str]:
        users = MemoryUsers(self._memory)
        found = {one: await users.resolve(*one) for one in references}
        return {one: user_id for one, user_id in found.items() if user_id is not None}

    async def people(self, user_ids: Collection[str]) -> Mapping[str, Person]:
        found = [self._memory.users[user_id] for user_id in user_ids if user_id in self._memory.users]
        return {user.id: Person(self._memory.projects[user.id], user.locale) for user in found}

    async def projects(self, user_ids: Collection[str]) -> Mapping[str, str]:
        return {user_id: self._memory.projects[user_id] for user_id in user_ids if user_id in self._memory.users}

    async def admit(self, asked: Sequence[Limited]) -> Collection[Limited]:
        admitted = []
        for one in asked:
            counted = self._memory.limited.setdefault((one.user_id, one.category, one.test), set())
            if one.notification_id in counted or len(counted) < one.limit.count:
                counted.add(one.notification_id)
                admitted.append(one)
        return admitted

    async def admissible(self, asked: Sequence[Limited]) -> Collection[Limited]:
        return [one for one in asked if len(self._memory.limited.get((one.user_id, one.category, one.test), ())) < one.limit.count]

    async def ensure(self, users: Sequence[NewUser]) -> Mapping[Address, str]:
        found = {Address(self._memory.projects[user.id], user.email.lower()): user.id for user in self._memory.users.values() if user.email}
        for new in users:
            if new.address not in found:
                user = User(ids.new_id(), new.email, new.name, new.locale, new.timezone, Role.MEMBER, START, START)
                await MemoryUsers(self._memory).insert(new.project, user, None)
                found[new.address] = user.id
        return {user.address: found[user.address] for user in users}

    async def remove_devices(self, device_ids: Collection[str], reason: str = "") -> None:
        for device_id in device_ids:
            device = self._memory.devices.get(device_id)
            if device is not None and device.remove_time is None:
                self._memory.devices[device_id] = replace(device, remove_time=datetime.now(UTC), remove_reason=reason)

    def _contact(self, user: User, *, with_devices: bool) -> Contact:
        project = self._memory.projects[user.id]
        chosen = self._memory.preferences.get(user.id, Preferences(user.id, (), None))
        suppression = self._memory.suppressions.get(Address(project, user.email.lower()))
        owned = [
            device for device in self._memory.devices.values() if device.user_id == user.id and with_devices and device.remove_time is None
        ]
        return Contact(
            user_id=user.id,
            project=project,
            email=user.email,
            suppressed_for=suppression.reason if suppression else "",
            locale=user.locale,
            timezone=user.timezone,
            name=user.name,
            rules=chosen.rules,
            devices=tuple(PushTarget(each.id, each.token) for each in sorted(owned, key=lambda each: each.id, reverse=True)),
            quiet_hours=chosen.quiet_hours,
        )
