"""Facts about people, on the fakes."""

from collections.abc import Collection

import pytest

from mesh import ids
from mesh.context import FIRST_PROJECT
from mesh.errors import InvalidArgument, ScopeMissing
from mesh.testing import caller
from tests.user_svc.conftest import Stores
from tests.user_svc.factories import Clock
from user_svc.access import NotOwner
from user_svc.users.errors import AdministratorProtected, EmailTaken, PasswordNeeded, UserNotFound
from user_svc.users.models import Role, UserChanges
from user_svc.users.use_cases import Users

OPERATOR = caller("users:read", "users:write")


async def _hash(field: str, password: str, known_words: Collection[str]) -> str:
    return f"hash of {password}"


@pytest.fixture
def users(memory_stores: Stores, clock: Clock) -> Users:
    """The rules over memory."""
    return Users(memory_stores.users, hash_password=_hash, now=clock)


async def test_a_new_person_gets_defaults(users: Users, clock: Clock) -> None:
    """English, UTC, a member, and a UUIDv7 made now."""
    user = await users.create_user(FIRST_PROJECT, UserChanges(email="ada@example.com"), "")
    assert (user.locale, user.timezone, user.role) == ("en", "UTC", Role.MEMBER)
    assert user.create_time == user.update_time == clock.now
    assert ids.parse(user.id) is not None
    assert await users.get_user(OPERATOR, user.id) == user


async def test_a_password_needs_an_address_to_log_in_with(users: Users) -> None:
    """Nobody could ever use it."""
    with pytest.raises(InvalidArgument, match=r"^email: is required"):
        await users.create_user(FIRST_PROJECT, UserChanges(name="Ada"), "correct horse battery")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (UserChanges(email="ada@example.com\r\nBcc: x@example.com"), "email"),
        (UserChanges(name="two\nlines"), "name"),
        (UserChanges(locale="xx-YY-zz!"), "locale"),
        (UserChanges(timezone="Mars/Olympus"), "timezone"),
    ],
)
async def test_a_bad_field_is_refused_by_its_path(users: Users, changes: UserChanges, field: str) -> None:
    """On creation the field itself, on update its place in the request."""
    with pytest.raises(InvalidArgument) as refused:
        await users.create_user(FIRST_PROJECT, changes, "")
    assert refused.value.violations[0].field == field
    user = await users.create_user(FIRST_PROJECT, UserChanges(name="Ada"), "")
    with pytest.raises(InvalidArgument) as refused:
        await users.update_user(OPERATOR, user.id, changes)
    assert refused.value.violations[0].field == f"user.{field}"


async def test_a_person_is_not_created_without_any_mark(users: Users) -> None:
    """An empty body is a slip, and a nameless person with no address can't be told from the next one."""
    with pytest.raises(InvalidArgument, match="an e-mail address or a name") as refused:
        await users.create_user(FIRST_PROJECT, UserChanges(email="", name="", locale="de"), "")
    assert [violation.field for violation in refused.value.violations] == ["email"]
    for blank in ("   ", "\u00a0", "\u200b"):
        with pytest.raises(InvalidArgument, match=r"^name: must not be blank"):
            await users.create_user(FIRST_PROJECT, UserChanges(name=blank), "")


async def test_every_spelling_of_an_address_finds_its_person(users: Users) -> None:
    """Created in Unicode, kept in IDNA, found by either; what is no address is refused and not taken for an empty filter."""
    lena = await users.create_user(FIRST_PROJECT, UserChanges(email="Lena@münchen.example"), "")
    assert lena.email == "Lena@xn--mnchen-3ya.example"
    for spelling in ("lena@MÜNCHEN.example", "lena@mu\u0308nchen.example", "LENA@xn--mnchen-3ya.example"):
        assert list((await users.list_users(FIRST_PROJECT, spelling, 0, "")).items) == [lena]
        with pytest.raises(EmailTaken):
            await users.create_user(FIRST_PROJECT, UserChanges(email=spelling), "")
    with pytest.raises(InvalidArgument, match=r"^email: must be an e-mail address"):
        await users.list_users(FIRST_PROJECT, "lena", 0, "")


async def test_an_address_belongs_to_one_person_in_any_case(users: Users) -> None:
    """Also when it is changed, but keeping one's own is no conflict."""
    ada = await users.create_user(FIRST_PROJECT, UserChanges(email="ada@example.com"), "")
    eve = await users.create_user(FIRST_PROJECT, UserChanges(email="eve@example.com"), "")
    with pytest.raises(EmailTaken, match=r"^email: .*; ListUsers with `email` finds"):
        await users.create_user(FIRST_PROJECT, UserChanges(email="ADA@example.com"), "")
    with pytest.raises(EmailTaken):
        await users.update_user(OPERATOR, eve.id, UserChanges(email="Ada@Example.com"))
    assert (await users.update_user(OPERATOR, ada.id, UserChanges(email="Ada@Example.com"))).email == "Ada@Example.com"


async def test_an_update_leaves_the_rest_and_moves_the_time(users: Users, clock: Clock) -> None:
    """None leaves a field; an empty text asks for the default."""
    user = await users.create_user(FIRST_PROJECT, UserChanges(email="ada@example.com", name="Ada", locale="pt-BR"), "")
    clock.advance(minutes=1)
    changed = await users.update_user(OPERATOR, user.id, UserChanges(name="Countess", locale=""))
    assert (changed.email, changed.name, changed.locale) == ("ada@example.com", "Countess", "en")
    assert (changed.create_time, changed.update_time) == (user.create_time, clock.now)


@pytest.mark.parametrize("user_id", ["", "1", "not-a-uuid", "0" * 36, "01a206ee-8516-7642-8026-a65e0a709d67", "'; DROP TABLE users; --"])
async def test_what_is_no_id_names_nobody(users: Users, user_id: str) -> None:
    """NOT_FOUND, never an internal error."""
    for attempt in (
        users.get_user(OPERATOR, user_id),
        users.update_user(OPERATOR, user_id, UserChanges(name="x")),
    ):
        with pytest.raises(UserNotFound):
            await attempt


async def test_an_administrator_is_changed_by_administrators_and_themselves(users: Users) -> None:
    """With `users:write` alone a caller could else give an administrator's mail another address."""
    root = await users.create_user(FIRST_PROJECT, UserChanges(email="root@example.com"), "", Role.ADMINISTRATOR)
    with pytest.raises(AdministratorProtected, match="users:admin"):
        await users.update_user(caller("users:write"), root.id, UserChanges(email="eve@example.com"))
    for allowed in (caller("users:write", "users:admin"), caller(user_id=root.id)):
        assert (await users.update_user(allowed, root.id.upper(), UserChanges(name="Root"))).name == "Root"


async def test_ones_own_address_needs_the_password(users: Users) -> None:
    """By UpdateUser it does not change; writing back what was read is no change."""
    ada = await users.create_user(FIRST_PROJECT, UserChanges(email="ada@example.com", name="Ada"), "")
    themselves = caller(user_id=ada.id)
    for email in ("eve@example.com", ""):
        with pytest.raises(PasswordNeeded, match="change-email"):
            await users.update_user(themselves, ada.id, UserChanges(email=email))
    changed = await users.update_user(themselves, ada.id, UserChanges(email="ada@example.com", name="Countess"))
    assert (changed.email, changed.name) == ("ada@example.com", "Countess")
    assert (await users.update_user(caller("users:write"), ada.id, UserChanges(email="eve@example.com"))).email == "eve@example.com"


async def test_ones_own_external_id_is_the_callers_systems_to_choose(users: Users) -> None:
    """Who took the one of another person would get what is sent to that person. Writing back what was read is no change."""
    ada = await users.create_user(FIRST_PROJECT, UserChanges(email="ada@example.com", external_id="crm-1"), "")
    themselves = caller(user_id=ada.id)
    for external_id in ("crm-2", ""):
        with pytest.raises(ScopeMissing, match="users:write"):
            await users.update_user(themselves, ada.id, UserChanges(external_id=external_id))
        with pytest.raises(ScopeMissing, match="users:write"):
            await users.upsert_user(themselves, ada.id, UserChanges(external_id=external_id))
    changed = await users.update_user(themselves, ada.id, UserChanges(external_id="crm-1", email="ada@example.com", name="Countess"))
    assert (changed.external_id, changed.name) == ("crm-1", "Countess")


async def test_a_member_reaches_themselves_only(users: Users) -> None:
    """Others, and people who do not exist, are refused alike."""
    ada = await users.create_user(FIRST_PROJECT, UserChanges(name="Ada"), "")
    eve = await users.create_user(FIRST_PROJECT, UserChanges(name="Eve"), "")
    as_eve = caller(user_id=eve.id)
    assert (await users.update_user(as_eve, eve.id, UserChanges(name="Eva"))).name == "Eva"
    for user_id in (ada.id, ids.new_id(), "guess"):
        with pytest.raises(NotOwner):
            await users.get_user(as_eve, user_id)
        with pytest.raises(NotOwner):
            await users.update_user(as_eve, user_id, UserChanges(name="mine"))
    assert (await users.get_user(OPERATOR, ada.id)).name == "Ada"


async def test_the_scope_to_read_is_no_scope_to_write(users: Users) -> None:
    """Each method asks for its own scope."""
    ada = await users.create_user(FIRST_PROJECT, UserChanges(name="Ada"), "")
    with pytest.raises(NotOwner):
        await users.update_user(caller("users:read", user_id=ids.new_id()), ada.id, UserChanges(name="x"))


async def test_pages_cover_everyone_newest_first(users: Users) -> None:
    """Walking the tokens shows each person once, and people who come meanwhile do not disturb."""
    made = [await users.create_user(FIRST_PROJECT, UserChanges(name=str(number)), "") for number in range(7)]
    seen, token = [], ""
    for _ in range(3):
        page = await users.list_users(FIRST_PROJECT, "", 3, token)
        seen += [user.id for user in page.items]
        token = page.next_token
        await users.create_user(FIRST_PROJECT, UserChanges(name="late"), "")
    assert seen == [user.id for user in reversed(made)]
    assert token == ""


async def test_a_token_goes_with_its_filter(users: Users) -> None:
    """A page is not continued under another question."""
    for number in range(3):
        await users.create_user(FIRST_PROJECT, UserChanges(name=str(number)), "")
    token = (await users.list_users(FIRST_PROJECT, "", 1, "")).next_token
    with pytest.raises(InvalidArgument, match="page_token: was made by another list"):
        await users.list_users(FIRST_PROJECT, "ada@example.com", 1, token)
    with pytest.raises(InvalidArgument, match="page_token: is not a token"):
        await users.list_users(FIRST_PROJECT, "", 1, token[:-12] + "!")


async def test_people_are_found_by_address(users: Users) -> None:
    """In any case; an address that nobody has finds nobody."""
    ada = await users.create_user(FIRST_PROJECT, UserChanges(email="ada@example.com"), "")
    await users.create_user(FIRST_PROJECT, UserChanges(email="eve@example.com"), "")
    assert (await users.list_users(FIRST_PROJECT, "ADA@EXAMPLE.com", 0, "")).items == (ada,)
    assert (await users.list_users(FIRST_PROJECT, "bob@example.com", 0, "")).items == ()


async def test_the_filter_takes_no_control_characters(users: Users) -> None:
    """NUL would make PostgreSQL fail."""
    with pytest.raises(InvalidArgument, match="email"):
        await users.list_users(FIRST_PROJECT, "ada\0@example.com", 0, "")
