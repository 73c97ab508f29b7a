"""In-memory stand-ins for PostgreSQL: one class per port, all over one `Memory`, so that deleting a person reaches everything."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime

from mesh import ids
from mesh.etag import EtagMismatch, check_etag
from tests.user_svc.factories import START
from user_svc.auth.models import (
    ApiKey,
    RefreshToken,
    SigningKey,
)
from user_svc.devices.models import MAX_DEVICES, YIELDED, Device
from user_svc.policies.models import Category, DeliveryPolicy, ProjectRules
from user_svc.preferences.errors import TooManyRules
from user_svc.preferences.models import Choice, PreferenceChanges, Preferences
from user_svc.preferences.unsubscribing import Person
from user_svc.recipients.models import Address, Contact, Ended, Ensured, Limited, NewDevice, NewUser, PushTarget, Token, UserReference
from user_svc.suppressions.errors import TooManyCategories
from user_svc.suppressions.models import MAX_CATEGORIES, Hold, Suppression
from user_svc.users.attributes import text_of
from user_svc.users.errors import EmailTaken, ExternalIdTaken
from user_svc.users.models import Role, User, UserChanges


@dataclass
class Memory:
    """All tables."""

    users: dict[str, User] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)  # by the person's id
    password_hashes: dict[str, str | None] = field(default_factory=dict)
    credential_versions: Counter[str] = field(default_factory=Counter)
    devices: dict[str, Device] = field(default_factory=dict)
    preferences: dict[str, Preferences] = field(default_factory=dict)
    suppressions: dict[tuple[str, str, str], Suppression] = field(default_factory=dict)
    refresh_tokens: dict[bytes, RefreshToken] = field(default_factory=dict)
    used: dict[bytes, datetime] = field(default_factory=dict)
    api_keys: dict[str, ApiKey] = field(default_factory=dict)
    signing_keys: dict[str, SigningKey] = field(default_factory=dict)
    policies: dict[str, DeliveryPolicy] = field(default_factory=dict)
    categories: dict[tuple[str, str], Category] = field(default_factory=dict)
    limited: dict[tuple[str, str, bool], set[str]] = field(default_factory=dict)
    roles: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def user(self, project: str, user_id: str) -> User | None:
        """The project's person."""
        return self.users.get(user_id) if self.projects.get(user_id) == project else None


class MemoryUsers:
    """Implements UserStore."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def insert(self, project: str, user: User, password_hash: str | None) -> None:
        self._refuse_taken(project, user.email, user.id, user.external_id)
        self._memory.users[user.id] = replace(user, signs_in=password_hash is not None)
        self._memory.projects[user.id] = project
        self._memory.password_hashes[user.id] = password_hash

    async def find(self, project: str, user_id: str) -> User | None:
        return self._memory.user(project, user_id)

    async def find_by_device(self, project: str, token_sha256: bytes) -> User | None:
        having = (one for one in self._memory.devices.values() if hashlib.sha256(one.token.encode()).digest() == token_sha256)
        return next((user for one in having if (user := self._memory.user(project, one.user_id)) is not None), None)

    async def update(self, project: str, user_id: str, changes: UserChanges, now: datetime, *, etag: str = "") -> User | None:
        user = self._memory.user(project, user_id)
        if user is not None:
            check_etag(etag, user.etag, done=changes.are_made_on(user))
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

    async def ours(self, project: str, references: Sequence[str]) -> Collection[str]:
        return [each for each in references if self._memory.user(project, ids.canonical(each) or "") is not None]

    async def upsert_many(
        self,
        project: str,
        people: Sequence[UserChanges],
        defaults: UserChanges,
        now: datetime,
        *,
        administrators: bool,
        etags: Mapping[str, str],
    ) -> Mapping[str, str | EtagMismatch]:
        before, found = (dict(self._memory.users), dict(self._memory.projects)), dict[str, str | EtagMismatch]()
        try:
            for person in people:
                external_id = person.external_id or ""
                user_id = await self.resolve(project, external_id)
                try:
                    present = self._memory.users[user_id] if user_id else None
                    done = present is not None and person.given.are_made_on(present)
                    check_etag(etags.get(external_id, ""), present.etag if present else "", done=done)
                except EtagMismatch as error:
                    found[external_id] = error
                    continue
                given = replace(person, **{each.name: getattr(person, each.name) or None for each in fields(person)})
                if user_id is None:
                    locale, timezone = str(given.locale or defaults.locale), str(given.timezone or defaults.timezone)
                    names = given.email or "", given.name or ""
                    user = User(ids.new_id(), *names, locale, timezone, Role.MEMBER, now, now, external_id, given.attributes or {})
                    await self.insert(project, user, None)
                    found[external_id] = user.id
                elif administrators or not self._is_kept(self._memory.users[user_id], given.email):
                    await self.update(project, user_id, given, now)
                    found[external_id] = user_id
        except EmailTaken:
            self._memory.users, self._memory.projects = before
            raise
        return found

    async def holders(self, project: str, people: Sequence[UserChanges]) -> Mapping[str, str]:
        found = {}
        for person in people:
            holders = await self.list_newest_first(project, person.email, None, 1) if person.email else ()
            for holder in holders:
                if holder.external_id != person.external_id:
                    found[person.external_id or ""] = holder.external_id
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

    def _is_kept(self, user: User, email: str | None) -> bool:
        moved = user.signs_in and email is not None and email.lower() != user.email.lower()
        return moved or user.role is Role.ADMINISTRATOR

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
            app, platform = device.app or known.app, device.platform or known.platform
            device = replace(device, id=known.id, create_time=known.create_time, app=app, platform=platform)
        elif known is not None:
            del self._memory.devices[known.id]
        self._memory.devices[device.id] = device
        reached = [each for each in self._memory.devices.values() if each.user_id == device.user_id and each.remove_time is None]
        reached.sort(key=lambda each: (each.id == device.id, each.last_seen_time, each.id), reverse=True)
        for each in reached[MAX_DEVICES:]:
            self._memory.devices[each.id] = replace(each, remove_time=device.last_seen_time, remove_reason=YIELDED)
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
        check_etag(etag, before.etag, done=changes.are_made_on(before))
        if changes.is_empty:
            return before
        by_key = {rule.about: rule for rule in (*before.rules, *changes.rules)}
        kept = [rule for rule in by_key.values() if rule.choice is not Choice.INHERIT]
        if not changes.keep_limit(len(before.rules), len(kept)):
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
        changed = change(present)
        check_etag(etag, present.etag, done=replace(changed, update_time=present.update_time) == present)
        self._memory.policies[project] = changed
        return self._memory.policies[project]

    async def add(self, project: str, category: Category) -> bool:
        return self._memory.categories.setdefault((project, category.id), category) is category

    async def find(self, project: str, identifier: str) -> Category | None:
        return self._memory.categories.get((project, identifier))

    async def change(self, project: str, identifier: str, change: Callable[[Category], Category], *, etag: str = "") -> Category | None:
        present = self._memory.categories.get((project, identifier))
        if present is None:
            return None
        changed = change(present)
        check_etag(etag, present.etag, done=replace(changed, update_time=present.update_time) == present)
        self._memory.categories[project, identifier] = changed
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

    async def add(self, project: str, suppression: Suppression, *, of: str | None = None) -> Suppression:
        if of is not None and (of not in self._memory.users or self._memory.projects[of] != project):
            return suppression
        key = (project, suppression.address, suppression.category)
        there = self._memory.suppressions.get(key)
        if there is not None and not suppression.outlasts(there):
            return there
        beside = [one for one in await self.of_address(project, suppression.address) if one.category]
        if suppression.category and there is None and len(beside) >= MAX_CATEGORIES:
            raise TooManyCategories
        self._memory.suppressions[key] = suppression
        return suppression

    async def delete(self, project: str, address: str, category: str) -> bool:
        return self._memory.suppressions.pop((project, address, category), None) is not None

    async def of_address(self, project: str, address: str) -> Sequence[Suppression]:
        return [entry for key, entry in sorted(self._memory.suppressions.items()) if key[:2] == (project, address)]

    async def list_in_order(
        self, project: str, after: tuple[str, str], limit: int, *, now: datetime, address: str = ""
    ) -> Sequence[Suppression]:
        listed = sorted(self._memory.suppressions.items())
        return [
            entry
            for key, entry in listed
            if key[0] == project and key[1:] > after and address in {"", key[1]} and (entry.expire_time is None or entry.expire_time > now)
        ][:limit]

    async def forget_ended(self, now: datetime) -> None:
        kept = {key: one for key, one in self._memory.suppressions.items() if one.expire_time is None or one.expire_time >= now}
        self._memory.suppressions.clear()
        self._memory.suppressions.update(kept)


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

    async def holds(self, addresses: Collection[Address]) -> Mapping[Address, tuple[Hold, ...]]:
        return {one: held for one in addresses if (held := self._holds(one))}

    def _holds(self, address: Address) -> tuple[Hold, ...]:
        listed = sorted(self._memory.suppressions.items())
        return tuple(Hold(one.category, one.reason, one.expire_time) for key, one in listed if key[:2] == address)

    async def resolve(self, references: Collection[UserReference]) -> Mapping[UserReference, str]:
        users = MemoryUsers(self._memory)
        found = {one: await users.resolve(*one) for one in references}
        return {one: user_id for one, user_id in found.items() if user_id is not None}

    async def people(self, user_ids: Collection[str]) -> Mapping[str, Person]:
        found = [self._memory.users[user_id] for user_id in user_ids if user_id in self._memory.users]
        return {user.id: Person(self._memory.projects[user.id], user.locale) for user in found}

    async def projects(self, user_ids: Collection[str]) -> Mapping[str, str]:
        return {user_id: self._memory.projects[user_id] for user_id in user_ids if user_id in self._memory.users}

    async def has_address(self, user_id: str, address: str) -> bool:
        return self._memory.users[user_id].email.lower() == address.lower()

    async def admit(self, asked: Sequence[Limited]) -> Collection[Limited]:
        admitted = []
        for one in asked:
            counted = self._memory.limited.setdefault((one.user_id, one.category, one.test), set())
            if one.notification_id in counted or len(counted) < one.limit.count:
                counted.add(one.notification_id)
                admitted.append(one)
        return admitted

    async def uncount(self, ended: Collection[Ended]) -> None:
        for (user_id, _, _), counted in self._memory.limited.items():
            counted -= {one.notification_id for one in ended if one.user_id == user_id}

    async def admissible(self, asked: Sequence[Limited]) -> Collection[Limited]:
        return [one for one in asked if len(self._memory.limited.get((one.user_id, one.category, one.test), ())) < one.limit.count]

    async def ensure(self, users: Sequence[NewUser], *, only_existing: bool = False) -> Mapping[Address, str]:
        found = {Address(self._memory.projects[user.id], user.email.lower()): user.id for user in self._memory.users.values() if user.email}
        for new in users:
            if new.address not in found and not only_existing:
                user = User(ids.new_id(), new.email, new.name, new.locale, new.timezone, Role.MEMBER, START, START)
                await MemoryUsers(self._memory).insert(new.project, user, None)
                found[new.address] = user.id
        return {user.address: found[user.address] for user in users if user.address in found}

    async def ensure_devices(self, devices: Sequence[NewDevice], *, only_existing: bool = False) -> Mapping[Token, Ensured]:
        found: dict[Token, Ensured] = {}
        for new in devices:
            owned = (
                self._memory.projects[each.user_id] == new.project and each.token == new.token for each in self._memory.devices.values()
            )
            known = next((each for each, same in zip(self._memory.devices.values(), owned, strict=True) if same), None)
            if known is None and not only_existing:
                user = User(ids.new_id(), "", new.name, new.locale, new.timezone, Role.MEMBER, START, START)
                await MemoryUsers(self._memory).insert(new.project, user, None)
                known = await MemoryDevices(self._memory).register(
                    new.project, Device(ids.new_id(), user.id, new.token, new.platform, START, START)
                )
            if known is not None:
                found[new.key] = Ensured(known.user_id, known.id)
        return found

    async def remove_devices(self, device_ids: Collection[str], reason: str = "") -> None:
        for device_id in device_ids:
            device = self._memory.devices.get(device_id)
            if device is not None and device.remove_time is None:
                self._memory.devices[device_id] = replace(device, remove_time=datetime.now(UTC), remove_reason=reason)

    def _contact(self, user: User, *, with_devices: bool) -> Contact:
        project = self._memory.projects[user.id]
        chosen = self._memory.preferences.get(user.id, Preferences(user.id, (), None))
        owned = [
            device for device in self._memory.devices.values() if device.user_id == user.id and with_devices and device.remove_time is None
        ]
        return Contact(
            user_id=user.id,
            project=project,
            email=user.email,
            holds=self._holds(Address(project, user.email.lower())),
            locale=user.locale,
            timezone=user.timezone,
            name=user.name,
            rules=chosen.rules,
            devices=tuple(PushTarget(each.id, each.token) for each in sorted(owned, key=lambda each: each.id, reverse=True)),
            quiet_hours=chosen.quiet_hours,
            attributes=text_of(user.attributes) if user.attributes else "",
        )
