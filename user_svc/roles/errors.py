"""Errors about roles."""

from mesh.errors import Aborted, AlreadyExists, NotFound, PermissionDenied, ResourceExhausted


class RoleNotFound(NotFound):
    """The project has no such role."""

    reason = "ROLE_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such role; GET /v1/roles lists them")


class RoleExists(AlreadyExists):
    """The id is taken."""

    reason = "ROLE_EXISTS"

    def __init__(self, identifier: str) -> None:
        super().__init__(f"role.id: there is a role {identifier} already; change it with PATCH /v1/roles/{identifier}")


class TooManyRoles(ResourceExhausted):
    """A project has as many as it can have."""

    reason = "TOO_MANY_ROLES"

    def __init__(self, most: int) -> None:
        super().__init__(f"a project has at most {most} roles; delete one that no one has")


class RoleInUse(Aborted):
    """Someone would lose what they may do without a word."""

    reason = "ROLE_IN_USE"

    def __init__(self, why: str) -> None:
        super().__init__(f"the role is in use: {why}")


class BeyondOwn(PermissionDenied):
    """A caller can't give or take what it does not have."""

    reason = "SCOPE_NOT_HELD"

    def __init__(self, scope: str) -> None:
        super().__init__(f"the role has the scope {scope}, which the caller does not hold", metadata={"scope": scope})


class OwnRole(PermissionDenied):
    """What an issuer's groups or a key let someone do for a time must not become theirs for good by their own hand."""

    reason = "OWN_ROLE"

    def __init__(self) -> None:
        super().__init__("no one gives themselves a role or widens their own, also with an API key of theirs; ask another administrator")


class LiveKeyNeeded(PermissionDenied):
    """A key that reaches no provider must not let people reach one."""

    reason = "LIVE_KEY_NEEDED"

    def __init__(self) -> None:
        super().__init__("a test key changes no roles, since they count for live sends too; use a live key or a person's token")
