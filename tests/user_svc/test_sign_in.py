"""Facts about signing in at an issuer: the whole of user_svc over gRPC and PostgreSQL, and issuers on ports of their own."""

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from sqlalchemy import func, select

from clarion.user.v1 import api_key_pb2, auth_service_pb2, erasure_service_pb2, session_pb2
from clarion.user.v1 import sign_in_service_pb2 as rpc
from clarion.user.v1.erasure_service_pb2_grpc import ErasureServiceStub
from mesh.context import FIRST_PROJECT
from mesh.errors import NotFound, PermissionDenied, ServiceError, Unauthenticated, Unavailable
from mesh.process.settings import Env
from mesh.sealing import Sealer
from mesh.stores.database import open_database
from mesh.stores.settings import DatabaseSettings
from mesh.testing import SECRET as MESH_SECRET
from mesh.testing import free_port
from tests.user_svc.factories import Clock, make_user
from tests.user_svc.issuer import CLIENT, Issuer, open_issuer
from tests.user_svc.sign_in_door import Door, OpenDoor, described
from tests.user_svc.test_erasure import GATEWAY
from user_svc.audit.models import Filters
from user_svc.audit.repository import AuditRepository
from user_svc.auth.models import Scope
from user_svc.sign_in.errors import SignInRefused
from user_svc.sign_in.flows import FLOW_LIFE, SEALED_FOR, Flows
from user_svc.sign_in.settings import OidcSettings
from user_svc.tables import identities
from user_svc.users.repository import UserRepository


def field_of(error: ServiceError) -> str:
    assert error.reason == "SIGN_IN_REFUSED"
    return error.metadata["field"]


async def test_a_sign_in_opens_a_session_with_what_the_groups_may(door: Door, issuer: Issuer) -> None:
    issuer.claims["groups"] = ["staff", "readers", "strangers"]
    tokens = await door.sign_in(issuer)
    assert await door.scopes(tokens.access_token) == {"notifications:read", "apikeys:write", "templates:read"}
    listed = await door.call("ListIssuers", rpc.ListIssuersRequest())
    assert [(one.id, one.title) for one in listed.issuers] == [("corp", "Example Corp")]


async def test_a_renewed_session_may_as_much_and_ends_when_the_first_one_would(door: Door, issuer: Issuer) -> None:
    tokens = await door.sign_in(issuer)
    asked = session_pb2.ListSessionsRequest(user_id=tokens.user_id)
    (before,) = (await door.call("ListSessions", asked, tokens.access_token)).sessions
    again = await door.call("Refresh", auth_service_pb2.RefreshRequest(refresh_token=tokens.refresh_token))
    assert await door.scopes(again.access_token) == {"notifications:read", "apikeys:write"}
    (after,) = (await door.call("ListSessions", asked, again.access_token)).sessions
    assert after.expire_time == before.expire_time
    assert (after.expire_time.seconds - after.create_time.seconds) == 12 * 3600


async def test_an_administrator_at_the_issuer_has_every_scope_for_the_session_and_none_afterwards(door: Door, issuer: Issuer) -> None:
    issuer.claims["groups"] = ["root"]
    first = await door.sign_in(issuer)
    assert await door.scopes(first.access_token) == {*Scope}
    issuer.claims["groups"] = ["readers"]
    second = await door.sign_in(issuer)
    assert second.user_id == first.user_id
    assert await door.scopes(second.access_token) == {"templates:read"}


async def test_a_key_holds_no_more_than_the_session_of_who_makes_it(door: Door, issuer: Issuer) -> None:
    tokens = await door.sign_in(issuer)
    made = await door.call("CreateApiKey", api_key_pb2.CreateApiKeyRequest(name="k", scopes=["notifications:read"]), tokens.access_token)
    assert await door.scopes(made.secret) == {"notifications:read"}
    with pytest.raises(PermissionDenied):
        await door.call("CreateApiKey", api_key_pb2.CreateApiKeyRequest(name="k", scopes=["templates:read"]), tokens.access_token)


async def test_who_is_in_no_group_of_ours_stays_outside_and_is_not_made_a_person(door: Door, issuer: Issuer) -> None:
    issuer.claims["groups"] = "strangers"
    with pytest.raises(PermissionDenied, match="group") as refused:
        await door.sign_in(issuer)
    assert refused.value.reason == "SIGN_IN_NOT_ALLOWED"
    async with open_database(DatabaseSettings(door.url)) as database:
        assert await UserRepository(database).list_newest_first(FIRST_PROJECT, "", None, 10) == []


async def test_groups_that_stand_at_the_user_info_only_count_for_the_same_person_only(door: Door, issuer: Issuer) -> None:
    issuer.claims = {}
    issuer.user_info = {"sub": "ada", "groups": ["readers"]}
    assert await door.scopes((await door.sign_in(issuer)).access_token) == {"templates:read"}
    issuer.user_info = {"sub": "grace", "groups": ["root"]}
    with pytest.raises(Unauthenticated) as refused:
        await door.sign_in(issuer)
    assert field_of(refused.value) == "userinfo"


async def test_a_replayed_answer_is_refused_and_the_issuer_is_not_asked_again(door: Door, issuer: Issuer) -> None:
    begun = await door.begin()
    back = issuer.authorize(begun.authorization_url)
    await door.complete(begun.flow, **back)
    issuer.asked.clear()
    with pytest.raises(Unauthenticated, match="used before") as refused:
        await door.complete(begun.flow, **back)
    assert (field_of(refused.value), issuer.asked) == ("state", [])


async def test_the_state_of_another_sign_in_is_refused(door: Door, issuer: Issuer) -> None:
    """As it is when a stranger gives a person a link that would sign them in as the stranger (CSRF)."""
    mine, theirs = await door.begin(), await door.begin()
    with pytest.raises(Unauthenticated) as refused:
        await door.complete(mine.flow, **issuer.authorize(theirs.authorization_url))
    assert field_of(refused.value) == "state"
    async with open_database(DatabaseSettings(door.url)) as database:
        [event] = await AuditRepository(database).list_newest_first(Filters(FIRST_PROJECT, kinds=("sign_in_failed",)), None, 10)
    assert event.details == {"by": "corp", "why": "SIGN_IN_REFUSED"}


async def test_a_code_that_another_browser_began_is_of_no_use(door: Door, issuer: Issuer) -> None:
    """PKCE: the verifier is in the flow of the browser that began."""
    mine, theirs = await door.begin(), await door.begin()
    stolen = issuer.authorize(theirs.authorization_url)["code"]
    with pytest.raises(Unauthenticated) as refused:
        await door.complete(mine.flow, state=issuer.authorize(mine.authorization_url)["state"], code=stolen)
    assert field_of(refused.value) == "code"


@pytest.mark.parametrize("flow", ["x", "AAAA", "A" * 400])
async def test_a_flow_that_is_not_ours_is_refused(door: Door, flow: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await door.complete(flow, state="s", code="c")
    assert field_of(refused.value) == "flow"


def test_a_flow_is_good_for_a_quarter_of_an_hour(clock: Clock) -> None:
    flows = Flows(Sealer(MESH_SECRET, SEALED_FOR))
    flow, kept = flows.begin("corp", clock())
    clock.advance(seconds=FLOW_LIFE.total_seconds() - 1)
    assert flows.open(kept, clock()) == flow
    clock.advance(seconds=1)
    with pytest.raises(SignInRefused, match="15 minutes"):
        flows.open(kept, clock())


HOUR = 3600
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "wrong nonce": ({"nonce": "of another sign-in"}, "nonce"),
    "no nonce": ({"nonce": None}, "lacks"),
    "wrong audience": ({"aud": "another-client"}, "aud"),
    "no audience": ({"aud": None}, "lacks"),
    "given to another client": ({"aud": [CLIENT, "another-client"], "azp": "another-client"}, "azp"),
    "several audiences and no azp": ({"aud": [CLIENT, "another-client"]}, "azp"),
    "wrong issuer": ({"iss": "https://evil.example"}, "iss"),
    "expired": ({"exp": int(time.time()) - HOUR, "iat": int(time.time()) - 2 * HOUR}, "expired"),
    "no expiry": ({"exp": None}, "lacks"),
    "not valid yet": ({"nbf": int(time.time()) + 48 * HOUR}, "not valid yet"),
    "no subject": ({"sub": None}, "lacks"),
    "a subject that no database takes": ({"sub": "a\0b"}, "sub"),
    "a subject that is half of a character": ({"sub": "\ud800"}, "sub"),
    "a nonce that is half of a character": ({"nonce": "\ud800"}, "nonce"),
    "a nonce that is no text": ({"nonce": ["x"]}, "nonce"),
}


@pytest.mark.parametrize(("claims", "word"), BROKEN.values(), ids=BROKEN)
async def test_an_id_token_that_breaks_a_rule_is_refused_with_the_rule(
    door: Door, issuer: Issuer, claims: dict[str, Any], word: str
) -> None:
    issuer.claims |= claims
    with pytest.raises(Unauthenticated, match=word) as refused:
        await door.sign_in(issuer)
    assert field_of(refused.value) == "id_token"


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_no_token_without_a_signature_or_signed_with_what_everyone_knows(door: Door, issuer: Issuer, algorithm: str) -> None:
    issuer.algorithm = algorithm
    with pytest.raises(Unauthenticated, match="algorithm") as refused:
        await door.sign_in(issuer)
    assert field_of(refused.value) == "id_token"


async def test_a_token_of_another_key_is_refused_under_a_known_name_and_an_unknown_one(door: Door, issuer: Issuer) -> None:
    await door.sign_in(issuer)
    issuer.key = generate_private_key(SECP256R1())
    with pytest.raises(Unauthenticated, match="not signed by the issuer"):
        await door.sign_in(issuer)
    issuer.kid = "second"
    with pytest.raises(Unauthenticated, match="not the issuer's"):
        await door.sign_in(issuer)
    assert issuer.asked.count("/keys") == 1, "keys are asked for anew after half a minute at the soonest"


async def test_the_answer_of_one_issuer_is_not_taken_to_another_one(open_door: OpenDoor, issuer: Issuer) -> None:
    """The mix-up attack: the honest issuer's code must not reach the other one, which would redeem it."""
    async with open_issuer() as evil:
        issuer.described = {"authorization_response_iss_parameter_supported": True}
        async with open_door(described(issuer), described(evil, identifier="evil")) as door:
            begun = await door.begin("evil")
            back = issuer.authorize(begun.authorization_url)
            with pytest.raises(Unauthenticated) as refused:
                await door.complete(begun.flow, **back, iss=issuer.url)
            assert field_of(refused.value) == "iss"
            assert "/token" not in evil.asked
            honest = await door.begin()
            back = issuer.authorize(honest.authorization_url)
            with pytest.raises(Unauthenticated):
                await door.complete(honest.flow, **back)  # it always names itself, and does not here
            begun = await door.begin()
            assert (await door.complete(begun.flow, **issuer.authorize(begun.authorization_url), iss=issuer.url)).user_id


async def test_the_same_subject_of_two_issuers_is_two_people(open_door: OpenDoor, issuer: Issuer) -> None:
    async with open_issuer() as other, open_door(described(issuer), described(other, identifier="other")) as door:
        assert (await door.sign_in(issuer)).user_id != (await door.sign_in(other, "other")).user_id


async def test_an_address_leads_to_its_person_only_where_it_is_verified_and_the_operator_says_so(
    open_door: OpenDoor, issuer: Issuer
) -> None:
    issuer.claims |= {"email": "Ada@Example.com", "email_verified": True}
    known = make_user(email="ada@example.com")

    async def with_ada(door: Door) -> None:
        async with open_database(DatabaseSettings(door.url)) as database:
            await UserRepository(database).insert(FIRST_PROJECT, known, None)

    async with open_door(described(issuer)) as door:
        await with_ada(door)
        with pytest.raises(PermissionDenied, match="link_by_email") as refused:
            await door.sign_in(issuer)
        assert refused.value.reason == "SIGN_IN_ADDRESS_TAKEN"
        assert "ada" not in refused.value.message.lower()
    async with open_door(described(issuer, more="link_by_email = true")) as door:
        await with_ada(door)
        issuer.claims["email_verified"] = False
        assert (await door.sign_in(issuer)).user_id != known.id
    async with open_door(described(issuer, more="link_by_email = true")) as door:
        await with_ada(door)
        issuer.claims["email_verified"] = "true"
        assert (await door.sign_in(issuer)).user_id == known.id


async def test_an_issuer_that_is_down_is_a_clear_error_and_serves_again_when_it_is_back(open_door: OpenDoor) -> None:
    nowhere = Issuer(port=free_port())
    async with open_door(described(nowhere)) as door:
        with pytest.raises(Unavailable, match="the issuer corp is not reached") as away:
            await door.begin()
        assert away.value.reason == "ISSUER_UNAVAILABLE"
        assert str(nowhere.port) not in away.value.message


async def test_an_issuer_that_does_not_answer_is_given_up_on(door: Door, issuer: Issuer) -> None:
    issuer.hangs = True
    with pytest.raises(Unavailable, match="does not answer within 4 s"):
        await door.begin()
    issuer.hangs = False
    assert (await door.sign_in(issuer)).user_id


async def test_an_issuer_that_fails_at_the_token_is_not_the_persons_fault(door: Door, issuer: Issuer) -> None:
    issuer.token_status = 503
    with pytest.raises(Unavailable, match="answers 503"):
        await door.sign_in(issuer)
    issuer.token_status = 401
    with pytest.raises(Unavailable, match="client_secret"):
        await door.sign_in(issuer)


@pytest.mark.parametrize(
    ("says", "word"),
    [
        ({"issuer": "https://evil.example"}, "calls itself something else"),
        ({"token_endpoint": "http://evil.example/token"}, "not https"),
        ({"jwks_uri": None}, "not https"),
    ],
)
async def test_an_issuer_that_describes_itself_wrongly_is_not_used(door: Door, issuer: Issuer, says: dict[str, Any], word: str) -> None:
    issuer.described = says
    with pytest.raises(Unavailable, match=word):
        await door.begin()


async def test_an_issuer_that_is_not_set_up_is_not_found(door: Door) -> None:
    with pytest.raises(NotFound):
        await door.begin("no-such")


async def test_the_first_session_ends_with_the_person_and_the_next_sign_in_makes_a_new_one(door: Door, issuer: Issuer) -> None:
    first = await door.sign_in(issuer)
    async with open_database(DatabaseSettings(door.url)) as database:
        assert await UserRepository(database).delete(FIRST_PROJECT, first.user_id)
    with pytest.raises(Unauthenticated):
        await door.call("Refresh", auth_service_pb2.RefreshRequest(refresh_token=first.refresh_token))
    assert (await door.sign_in(issuer)).user_id != first.user_id


async def test_an_export_says_who_the_person_is_at_the_issuer_and_an_erasure_leaves_nothing_of_it(door: Door, issuer: Issuer) -> None:
    tokens = await door.sign_in(issuer)
    erasure: Any = ErasureServiceStub(door.channel)
    asked = erasure_service_pb2.GetPersonalDataRequest(project=FIRST_PROJECT, user_id=tokens.user_id)
    (identity,) = (await erasure.GetPersonalData(asked, metadata=GATEWAY)).identities
    assert (identity.issuer, identity.subject) == (issuer.url, "ada")
    await erasure.EraseUser(erasure_service_pb2.EraseUserRequest(user_id=tokens.user_id), metadata=GATEWAY)
    async with open_database(DatabaseSettings(door.url)) as database, database.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(identities))).scalar_one() == 0


async def test_what_an_issuer_says_oddly_is_no_error_of_ours(door: Door, issuer: Issuer) -> None:
    issuer.described = {"token_endpoint_auth_methods_supported": 7}
    issuer.claims |= {"email": "ada@example.com", "email_verified": ["yes"], "name": "\ud800\u202e" * 300, "groups": ["staff", {}, 7]}
    tokens = await door.sign_in(issuer)
    async with open_database(DatabaseSettings(door.url)) as database:
        person = await UserRepository(database).find(FIRST_PROJECT, tokens.user_id)
    assert person is not None
    assert (person.email, len(person.name)) == ("", 200)


@pytest.mark.parametrize("named", ["none", "HS256", ["ES256"], {"a": 1}, 7])
async def test_a_key_that_says_oddly_what_it_signs_with_is_no_key(door: Door, issuer: Issuer, named: Any) -> None:
    issuer.of_key = {"alg": named}
    with pytest.raises(Unauthenticated) as refused:
        await door.sign_in(issuer)
    assert field_of(refused.value) == "id_token"


async def test_the_token_says_that_a_member_has_signed_in(door: Door, issuer: Issuer) -> None:
    issuer.claims["groups"] = ["root"]
    claims = jwt.decode((await door.sign_in(issuer)).access_token, options={"verify_signature": False})
    assert (claims["role"], claims["project"]) == ("member", FIRST_PROJECT)


WRONG = {
    "is no TOML": "issuers = [",
    "console_url must be": "",
    "needs a table": 'console_url = "https://c.example/console/"',
    "consle_url is no setting": 'consle_url = "x"',
    "there is no scope notifications:raed": '[issuers.groups]\nstaff = ["notifications:raed"]',
    "must be member or administrator": '[issuers.groups]\nstaff = "root"',
    "issuers[0].groups must say": "",
    "session_hours must be": "session_hours = 0\n[issuers.groups]\nstaff = []",
    "client_secrt is no setting": 'client_secrt = "geheim"\n[issuers.groups]\nstaff = []',
}


@pytest.mark.parametrize(("words", "text"), WRONG.items(), ids=WRONG)
def test_a_file_that_is_wrong_is_refused_with_the_place(tmp_path: Path, words: str, text: str) -> None:
    whole = text.startswith(("issuers =", "console_url", "consle_url")) or words.startswith("console_url")
    start = 'console_url = "https://c.example/console/"\n[[issuers]]\nid = "corp"\nurl = "https://i.example"\nclient_id = "c"\n'
    file = tmp_path / "oidc.toml"
    file.write_text(text if whole else start + text)
    env = Env({"CLARION_OIDC_FILE": str(file)})
    assert OidcSettings.from_env(env) == OidcSettings()
    (problem,) = env.problems
    assert words in problem
    assert "geheim" not in problem
