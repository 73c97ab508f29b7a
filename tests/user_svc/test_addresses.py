"""Facts about a person's addresses: user_svc over gRPC, and its tables in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from clarion.user.v1 import (
    address_pb2,
    api_key_pb2,
    auth_service_pb2,
    erasure_service_pb2,
    recipient_service_pb2,
    role_pb2,
    role_service_pb2,
    suppression_pb2,
    user_pb2,
    user_service_pb2,
)
from clarion.user.v1.auth_service_pb2_grpc import AuthServiceStub
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceStub
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from clarion.user.v1.role_service_pb2_grpc import RoleServiceStub
from clarion.user.v1.user_service_pb2_grpc import UserServiceStub
from mesh.errors import AlreadyExists, InvalidArgument, ServiceError, Unauthenticated
from mesh.ids import new_id
from naming.account_mails import NEW_ADDRESS
from tests.fixtures_postgres import NewDatabase
from tests.user_svc.conftest import statements_of
from tests.user_svc.test_accounts import CONSOLE, EMAIL, GATEWAY, OPERATOR, PASSWORD, Service, open_service
from user_svc.addresses.repository import AddressRepository
from user_svc.sign_in.models import Person
from user_svc.sign_in.repository import IdentityRepository

NEW, OTHER = "Ada@new.example", "ada@other.example"


class People(Service):
    """What is asked about addresses."""

    async def add(self, address: str = NEW, *, primary: bool = False, user_id: str = "", metadata: Any = OPERATOR) -> Any:
        request = address_pb2.CreateAddressRequest(user_id=user_id or self.user_id, address=address, primary=primary)
        return (await self.call(UserServiceStub, "CreateAddress", request, metadata)).address

    async def addresses(self, user_id: str = "") -> list[tuple[str, bool, bool, bool]]:
        request = address_pb2.ListAddressesRequest(user_id=user_id or self.user_id)
        found = (await self.call(UserServiceStub, "ListAddresses", request, OPERATOR)).addresses
        return [(one.address, one.primary, one.verified, one.becomes_primary) for one in found]

    async def remove(self, address: str, metadata: Any = OPERATOR) -> None:
        request = address_pb2.DeleteAddressRequest(user_id=self.user_id, address=address)
        await self.call(UserServiceStub, "DeleteAddress", request, metadata)

    async def token(self, notification_id: str = "") -> str:
        """What a mail holds that nothing was asked about before."""
        token: str = (await self.recipient(NEW_ADDRESS, notification_id=notification_id or new_id())).account.code
        return token

    async def verified(self, address: str = NEW, *, primary: bool = False, user_id: str = "") -> None:
        await self.add(address, primary=primary, user_id=user_id)
        own, self.user_id = self.user_id, user_id or self.user_id
        await self.verify(await self.token())
        self.user_id = own

    async def create(self, email: str, **more: Any) -> str:
        request = user_service_pb2.CreateUserRequest(email=email, **more)
        user_id: str = (await self.call(UserServiceStub, "CreateUser", request, OPERATOR)).user.id
        return user_id

    async def change(self, email: str, user_id: str = "") -> user_pb2.User:
        mask = FieldMask(paths=["email"])
        request = user_service_pb2.UpdateUserRequest(id=user_id or self.user_id, user=user_pb2.User(email=email), update_mask=mask)
        user: user_pb2.User = (await self.call(UserServiceStub, "UpdateUser", request, OPERATOR)).user
        return user

    async def found_by(self, email: str) -> list[str]:
        page = await self.call(UserServiceStub, "ListUsers", user_service_pb2.ListUsersRequest(email=email), OPERATOR)
        return [user.id for user in page.users]

    async def sent_to(self, email: str) -> str:
        """Whom a send to the address is for."""
        request = recipient_service_pb2.BatchEnsureUsersRequest()
        request.users.add(project="default", email=email)
        (user_id,) = (await self.call(RecipientServiceStub, "BatchEnsureUsers", request, GATEWAY)).ids
        return str(user_id)

    async def suppress(self, address: str) -> None:
        await self.call(UserServiceStub, "CreateSuppression", suppression_pb2.CreateSuppressionRequest(address=address), OPERATOR)

    async def key(self, *scopes: str) -> Any:
        request = api_key_pb2.CreateApiKeyRequest(name="crm", scopes=scopes)
        return (("authorization", f"Bearer {(await self.call(AuthServiceStub, 'CreateApiKey', request, OPERATOR)).secret}"),)

    async def own(self) -> Any:
        return (("authorization", f"Bearer {(await self.log_in()).access_token}"),)


@pytest.fixture
async def people(postgres_url: NewDatabase) -> AsyncIterator[People]:
    async with open_service(postgres_url) as made:
        yield People(made.channel, made.database, made.user_id)


async def refusal(asked: Any) -> str:
    with pytest.raises(ServiceError) as refused:
        await asked
    return refused.value.reason


async def test_a_new_address_takes_the_old_ones_place_once_it_is_proved(people: People) -> None:
    added = await people.add(primary=True)
    assert (added.address, added.primary, added.verified, added.becomes_primary) == (NEW, False, False, True)
    assert added.HasField("expire_time")
    (mail,) = await people.mails()
    assert (mail.user_id, mail.template) == (people.user_id, NEW_ADDRESS)
    there = await people.recipient(NEW_ADDRESS, notification_id=new_id())
    assert (there.email, there.account.link) == (NEW, f"{CONSOLE}verify-address#{there.account.code}")
    assert (await people.recipient("welcome")).email == EMAIL  # all else goes where it went
    await people.verify(there.account.code)
    assert (await people.recipient("welcome")).email == NEW
    user = await people.user()
    assert (user.email, user.email_verified) == (NEW, True)
    # the one before was never proved to be hers, so that nothing is left of it
    assert await people.addresses() == [(NEW, True, True, False)]
    assert await people.found_by(EMAIL) == []
    subject = f"user:{people.user_id}"
    assert [event[:2] for event in await people.events("EMAIL_CHANGED")] == [(subject, subject)]
    assert [event[1] for event in await people.events("ADDRESS_ADDED")] == [subject]
    assert [event[:2] for event in await people.events("EMAIL_VERIFIED")] == [(subject, subject)]
    assert await refusal(people.verify(there.account.code)) == "VERIFICATION_LINK_INVALID"


async def test_an_address_that_was_proved_stays_when_another_one_takes_its_place(people: People) -> None:
    await people.verified(primary=True)
    await people.verified(OTHER)
    assert await people.addresses() == [(NEW, True, True, False), (OTHER, False, True, False)]
    await people.mails()
    chosen = await people.add(OTHER.upper(), primary=True)  # it is proved: at once, and without a mail
    assert (chosen.address, chosen.primary, chosen.verified) == (OTHER, True, True)
    assert await people.mails() == []
    assert await people.addresses() == [(OTHER, True, True, False), (NEW, False, True, False)]
    assert (await people.recipient("welcome")).email == OTHER
    changed = await people.change(NEW)  # a plain change leaves nothing of the one before, and need prove nothing again
    assert (changed.email, changed.email_verified) == (NEW, True)
    assert await people.addresses() == [(NEW, True, True, False)]


async def test_a_person_is_found_by_each_address_that_is_proved_and_gets_mail_at_one(people: People) -> None:
    await people.add()
    assert await people.found_by(NEW) == []
    stranger = await people.sent_to(NEW)
    assert stranger != people.user_id
    await people.sql(f"DELETE FROM users WHERE id = '{stranger}'")
    await people.verify(await people.token())
    assert await people.found_by(NEW.upper()) == await people.found_by(EMAIL) == [people.user_id]
    assert await people.sent_to(NEW.lower()) == people.user_id
    assert (await people.recipient("welcome")).email == EMAIL
    assert len(await people.sql("SELECT 1 FROM users")) == 1
    # an account has one address: no one signs in, or has a new password sent, by another one
    with pytest.raises(Unauthenticated):
        await people.call(AuthServiceStub, "Login", auth_service_pb2.LoginRequest(email=NEW, password=PASSWORD))
    await people.mails()
    await people.ask_for_reset(NEW)
    assert await people.mails() == []


async def test_an_address_that_is_proved_is_no_one_elses(people: People) -> None:
    bob = await people.create("bob@example.com", external_id="bob")
    await people.verified()
    taken = [
        people.create(NEW.upper()),
        people.change(NEW, bob),
        people.add(NEW, user_id=bob),
        people.add(EMAIL, user_id=bob, primary=True),
    ]
    assert [await refusal(one) for one in taken] == ["EMAIL_TAKEN"] * 4
    batch = user_service_pb2.BatchUpsertUsersRequest()
    for external_id, email in (("bob", NEW), ("carol", NEW), ("dave", "dave@example.com")):
        batch.users.add(external_id=external_id, email=email)
    results = (await people.call(UserServiceStub, "BatchUpsertUsers", batch, OPERATOR)).results
    assert [bool(one.id) for one in results] == [False, False, True]
    assert await people.found_by(NEW) == [people.user_id]
    # what is only claimed keeps no one from it
    await people.add(OTHER)
    assert await people.create(OTHER)
    with pytest.raises(AlreadyExists) as refused:
        await people.verify(await people.token())
    assert (refused.value.reason, refused.value.violations[0].field) == ("EMAIL_TAKEN", "token")
    assert (OTHER, False, False, False) in await people.addresses()


async def test_an_address_that_another_one_has_proved_first_becomes_no_primary_one(people: People) -> None:
    bob = await people.create("bob@example.com")
    await people.add(NEW, primary=True)
    token = await people.token()
    await people.verified(NEW, user_id=bob)
    assert await refusal(people.verify(token)) == "EMAIL_TAKEN"
    assert (await people.user()).email == EMAIL
    assert await people.found_by(NEW) == [bob]


@pytest.mark.parametrize("primary", [False, True])
async def test_of_two_at_the_same_moment_one_gets_the_address(people: People, *, primary: bool) -> None:
    """Whether who proves it is first, or who is made with it; `to` such an address finds who has it in the end."""
    for number in range(12):
        address = f"both-{number}@example.com"
        await people.sql("DELETE FROM account_links")
        await people.add(address, primary=primary)
        token = await people.token()
        ways = (people.verify(token), people.create(address) if number % 2 else people.sent_to(address))
        await asyncio.gather(*(ways if number % 3 else reversed(ways)), return_exceptions=True)
        holders = await people.sql(
            f"SELECT id FROM users WHERE lower(email) = '{address}' UNION ALL "
            f"SELECT user_id FROM user_addresses WHERE address_key = '{address}' AND verify_time IS NOT NULL"
        )
        assert len(holders) == 1
        assert await people.found_by(address) == [str(holders[0].id)] == [await people.sent_to(address)]
        with suppress(ServiceError):
            await people.remove(address)


async def test_of_two_who_prove_one_address_at_the_same_moment_one_gets_it(people: People) -> None:
    bob = await people.create("bob@example.com")
    await people.add(primary=True)
    first = await people.token()
    await people.add(user_id=bob)
    ada, people.user_id = people.user_id, bob
    second = await people.token()
    answers = await asyncio.gather(people.verify(first), people.verify(second), return_exceptions=True)
    assert sorted(type(one).__name__ for one in answers) == ["AlreadyExists", "NoneType"]
    assert await people.found_by(NEW) == [ada if answers[0] is None else bob]


async def test_each_mail_goes_to_its_address_with_its_link(people: People) -> None:
    for address in (NEW, OTHER):
        await people.add(address)
    assert len(await people.mails()) == 2
    first, second = new_id(), new_id()
    seen = await people.recipient(NEW_ADDRESS, notification_id=first, metadata=GATEWAY)  # who only looks
    assert set(seen.account.code) == {"\u2022"}
    answers = {one: await people.recipient(NEW_ADDRESS, notification_id=one) for one in (first, second, second, first)}
    assert (answers[first].email, answers[second].email) == (NEW, OTHER)
    assert len({one.account.code for one in answers.values()}) == 2
    assert (await people.recipient(NEW_ADDRESS, notification_id=new_id())).rule == "account_link:over"
    assert (await people.recipient(NEW_ADDRESS, notification_id=first, email="thief@example.com")).rule == "account_link:elsewhere"
    await people.verify(answers[second].account.code)
    assert await people.addresses() == [(EMAIL, True, False, False), (NEW, False, False, False), (OTHER, False, True, False)]
    assert (await people.recipient(NEW_ADDRESS, notification_id=second)).rule == "account_link:over"
    await people.remove(NEW)
    assert await refusal(people.verify(answers[first].account.code)) == "VERIFICATION_LINK_INVALID"


async def test_the_mail_that_asks_minds_what_is_known_of_its_own_address(people: People) -> None:
    await people.suppress(EMAIL)  # which may be why there is to be another one
    await people.add()
    assert (await people.recipient(NEW_ADDRESS, notification_id=new_id())).email == NEW
    await people.suppress(OTHER)
    await people.add(OTHER)
    assert (await people.recipient(NEW_ADDRESS, notification_id=new_id())).rule == "suppression:manual"


async def test_a_mail_that_comes_back_late_counts_for_whichever_of_their_addresses(people: People) -> None:
    await people.verified()
    for address in (NEW, "someone-elses@example.com"):
        request = recipient_service_pb2.SuppressAddressRequest(
            project="default", user_id=people.user_id, address=address, reason="bounce", only_their_own=True
        )
        await people.call(RecipientServiceStub, "SuppressAddress", request, GATEWAY)
    assert [row.address for row in await people.sql("SELECT address FROM suppressions")] == [NEW.lower()]
    assert (await people.recipient("welcome")).email == EMAIL


async def test_addresses_and_their_mails_are_limited(people: People) -> None:
    for _ in range(3):
        await people.add()  # once more is another mail
    with pytest.raises(ServiceError) as limited:
        await people.add(OTHER)
    assert (limited.value.reason, limited.value.retry_after_s) == ("ACCOUNT_MAILS_LIMITED", 3600)
    bob = await people.create("bob@example.com")
    assert await refusal(people.add(user_id=bob)) == "ACCOUNT_MAILS_LIMITED"  # nor does one mailbox get any number
    await people.add(OTHER, user_id=bob)
    await people.sql("UPDATE account_links SET create_time = now() - interval '61 minutes'")
    for number in range(9):
        await people.add(f"ada-{number}@example.com")
        await people.sql("UPDATE account_links SET create_time = now() - interval '61 minutes'")
    assert await refusal(people.add("one-more@example.com")) == "TOO_MANY_ADDRESSES"
    await people.add()  # one that is there may be asked about again
    await people.remove(NEW)
    await people.add("one-more@example.com")
    assert len(await people.addresses()) == 11


async def test_what_was_not_proved_is_forgotten(people: People) -> None:
    await people.verified(OTHER)
    await people.add()
    await AddressRepository(people.database).forget_ended()
    assert len(await people.addresses()) == 3
    await people.sql("UPDATE user_addresses SET expire_time = expire_time - interval '8 days'")
    await AddressRepository(people.database).forget_ended()
    assert await people.addresses() == [(EMAIL, True, False, False), (OTHER, False, True, False)]


async def test_a_link_to_an_address_that_was_removed_is_over_for_good(people: People) -> None:
    """Also when the same address is added again: only the link of the newer mail works."""
    await people.add()
    old = await people.token()
    await people.remove(NEW)
    await people.add(primary=True)
    assert await refusal(people.verify(old)) == "VERIFICATION_LINK_INVALID"
    assert await people.addresses() == [(EMAIL, True, False, False), (NEW, False, False, True)]
    await people.verify(await people.token())
    assert (NEW, True, True, False) in await people.addresses()


@pytest.mark.parametrize("became", ["with a role", "of an issuer"])
async def test_what_was_asked_for_before_a_person_had_an_account_changes_no_account(people: People, became: str) -> None:
    """Who may write people's addresses may not write those of accounts, nor have it done later."""
    bob = await people.create("bob@example.com")
    crm = await people.key("users:write", "users:read")
    await people.add(primary=True, user_id=bob, metadata=crm)
    if became == "with a role":
        made = role_service_pb2.CreateRoleRequest(role=role_pb2.OperatorRole(id="support", scopes=["users:read"]))
        await people.call(RoleServiceStub, "CreateRole", made, OPERATOR)
        await people.call(RoleServiceStub, "AssignRole", role_service_pb2.AssignRoleRequest(user_id=bob, role="support"), OPERATOR)
    else:
        known = Person("bob", "Bob", "bob@example.com")
        identities = IdentityRepository(people.database)
        assert await identities.find_or_make("default", "https://issuer.example", known, datetime.now(UTC), link=True) == bob
    ada, people.user_id = people.user_id, bob
    token = await people.token()
    people.user_id = ada
    await people.verify(token)
    assert await people.addresses(bob) == [("bob@example.com", True, False, False), (NEW, False, True, False)]


async def test_addresses_are_listed_as_they_are_at_one_moment(people: People) -> None:
    """By one statement: of two, the one that takes the other's place between them would be missing."""
    await people.add()
    seen = statements_of(people.database).seen
    listed = await AddressRepository(people.database).list_of("default", people.user_id)
    assert [one.address for one in listed or ()] == [EMAIL, NEW]
    assert len(seen) == 1
    assert await AddressRepository(people.database).list_of("other", people.user_id) is None


async def test_removing_says_what_is_wrong(people: People) -> None:
    await people.add()
    wrong = [people.remove(OTHER), people.remove("no address"), people.remove(EMAIL.upper()), people.add(EMAIL.lower())]
    reasons = ["ADDRESS_NOT_FOUND", "ADDRESS_NOT_FOUND", "ADDRESS_IS_PRIMARY", "ADDRESS_IS_PRIMARY"]
    assert [await refusal(one) for one in wrong] == reasons
    with pytest.raises(InvalidArgument, match="address"):
        await people.add("no address")
    await people.remove(NEW.upper())
    assert await people.addresses() == [(EMAIL, True, False, False)]
    assert [event[1] for event in await people.events("ADDRESS_REMOVED")] == [f"user:{people.user_id}"]
    for method, request in (
        ("ListAddresses", address_pb2.ListAddressesRequest(user_id=new_id())),
        ("CreateAddress", address_pb2.CreateAddressRequest(user_id=new_id(), address=NEW)),
    ):
        assert await refusal(people.call(UserServiceStub, method, request, OPERATOR)) == "USER_NOT_FOUND"


async def test_who_has_a_persons_token_takes_no_account_over_by_an_address(people: People) -> None:
    """The primary one is where a new password goes."""
    own = await people.own()
    assert await refusal(people.add(primary=True, metadata=own)) == "PASSWORD_NEEDED"
    await people.add(metadata=own)
    await people.verify(await people.token())
    assert await refusal(people.add(primary=True, metadata=own)) == "PASSWORD_NEEDED"
    # nor by asking learn who is here
    await people.create("bob@example.com")
    await people.add("bob@example.com", metadata=own)
    await people.remove("bob@example.com", metadata=own)
    crm = await people.key("users:write", "users:read")
    assert await refusal(people.add(OTHER, primary=True, metadata=crm)) == "SCOPE_MISSING"
    await people.sql(f"UPDATE users SET role = 'administrator' WHERE id = '{people.user_id}'")
    assert await refusal(people.add(OTHER, metadata=crm)) == "SCOPE_MISSING"
    assert await refusal(people.remove(NEW, metadata=crm)) == "SCOPE_MISSING"


async def test_a_person_announces_a_new_address_with_their_password(people: People) -> None:
    own = await people.own()

    async def announce(address: str, password: str = PASSWORD) -> None:
        request = auth_service_pb2.ChangeEmailRequest(current_password=password, new_email=address, when_verified=True)
        await people.call(AuthServiceStub, "ChangeEmail", request, own)

    with pytest.raises(ServiceError) as refused:
        await announce(NEW, "not the password")
    assert refused.value.reason == "WRONG_PASSWORD"
    await people.create("bob@example.com")
    await announce("bob@example.com")  # the answer is the same
    await announce(OTHER)
    await announce(NEW)
    assert [one[3] for one in await people.addresses() if one[0] == NEW] == [True]
    assert sum(one[3] for one in await people.addresses()) == 1  # the last one counts
    assert {(await people.recipient(NEW_ADDRESS, notification_id=new_id())).email for _ in range(3)} == {"bob@example.com", OTHER, NEW}
    (code,) = await _codes(people, NEW)
    await people.verify(code)
    assert (await people.user()).email == NEW
    await people.call(AuthServiceStub, "Login", auth_service_pb2.LoginRequest(email=NEW, password=PASSWORD))


async def _codes(people: People, address: str) -> Sequence[str]:
    """What the mails to an address that were asked about before hold."""
    rows = await people.sql(f"SELECT notification_id::text AS id FROM account_links WHERE address = '{address}'")
    return [(await people.recipient(NEW_ADDRESS, notification_id=row.id)).account.code for row in rows]


async def test_an_export_and_an_erasure_reach_all_addresses(people: People) -> None:
    bob = await people.create("bob@example.com")
    await people.verified()
    for address in (OTHER, "bob@example.com"):
        await people.sql("UPDATE account_links SET create_time = now() - interval '61 minutes'")
        await people.sql(f"INSERT INTO user_addresses (project, user_id, address) VALUES ('default', '{people.user_id}', '{address}')")
    listed = (EMAIL, NEW, OTHER, "bob@example.com", "unrelated@example.com")
    for address in listed:
        await people.suppress(address)
    asked = erasure_service_pb2.GetPersonalDataRequest(project="default", user_id=people.user_id)
    held = await people.call(ErasureServiceStub, "GetPersonalData", asked, GATEWAY)
    assert [(one.address, one.verified) for one in held.addresses] == [(NEW, True), (OTHER, False), ("bob@example.com", False)]
    assert held.suppression.address == EMAIL.lower()
    # nor does who claims an address learn what is on record about the person who has it
    assert {one.address for one in held.category_suppressions} == {NEW.lower(), OTHER}
    request = erasure_service_pb2.EraseUserRequest(user_id=people.user_id)
    await people.call(ErasureServiceStub, "EraseUser", request, GATEWAY)
    assert await people.sql("SELECT 1 FROM user_addresses") == []
    # that she has claimed another person's address frees no one of what is on record about it
    assert sorted(row.address for row in await people.sql("SELECT address FROM suppressions")) == [
        "bob@example.com",
        "unrelated@example.com",
    ]
    assert await people.found_by("bob@example.com") == [bob]
