"""What an issuer is, and what one sign-in carries from its beginning to its end."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from user_svc.auth.models import Grant

# The group that everyone is in whom the issuer lets in.
EVERYONE = "*"


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer of OpenID Connect as the operator describes it. `url` is its `iss`; `redirect_url` is where it sends the browser back to.

    `grants` are what each of its groups may do. With `link_by_email` a verified address leads to the person who has it here.
    """

    id: str
    title: str
    url: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_url: str
    project: str
    scopes: tuple[str, ...]
    groups_claim: str
    grants: Mapping[str, Grant]
    link_by_email: bool
    session_hours: int

    def granted(self, groups: Collection[str]) -> Grant | None:
        """What the groups may do together; None where none of them is let in."""
        fitting = [grant for group, grant in self.grants.items() if group == EVERYONE or group in groups]
        if not fitting:
            return None
        return Grant(frozenset().union(*(grant.scopes for grant in fitting)), frozenset().union(*(grant.roles for grant in fitting)))


class Metadata(NamedTuple):
    """What an issuer says of itself (OpenID Connect Discovery 1.0). `user_info_url` is empty where it has none."""

    authorization_url: str
    token_url: str
    keys_url: str
    user_info_url: str
    secret_in_body: bool
    names_itself: bool


class Answer(NamedTuple):
    """What an issuer gives for a code."""

    id_token: str
    access_token: str


class Flow(NamedTuple):
    """One sign-in between its two steps. `state` comes back through the browser, `nonce` in the ID token, and only here is `verifier`."""

    id: str
    issuer: str
    state: str
    nonce: str
    verifier: str
    create_time: datetime


class Person(NamedTuple):
    """Whom an issuer names. `email` is empty unless the issuer has verified it."""

    subject: str
    name: str
    email: str


class Identity(NamedTuple):
    """Who a person is at an issuer, since their first sign-in there."""

    issuer: str
    subject: str
    create_time: datetime


Claims = Mapping[str, Any]
