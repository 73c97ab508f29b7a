"""clarion.user.v1.AccountService: messages in, one use case, messages out."""

from typing import Protocol

from clarion.user.v1 import account_service_pb2 as rpc
from clarion.user.v1.account_service_pb2_grpc import AccountServiceServicer
from mesh.context import FIRST_PROJECT, Caller, current
from user_svc.accounts.convert import mail_to_proto
from user_svc.accounts.use_cases import Accounts


class People(Protocol):
    """Who is meant."""

    async def resolve(self, caller: Caller, reference: str) -> str:
        """Our id for an id of ours or an external one; what belongs to no person comes back as it is."""


class AccountServicer(AccountServiceServicer):
    """Serves proof by mail. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, accounts: Accounts, people: People) -> None:
        self._accounts = accounts
        self._people = people

    async def RequestPasswordReset(self, request: rpc.RequestPasswordResetRequest, context: object) -> rpc.RequestPasswordResetResponse:
        await self._accounts.request_password_reset(request.project or FIRST_PROJECT, request.email)
        return rpc.RequestPasswordResetResponse()

    async def ResetPassword(self, request: rpc.ResetPasswordRequest, context: object) -> rpc.ResetPasswordResponse:
        await self._accounts.reset_password(request.token, request.new_password)
        return rpc.ResetPasswordResponse()

    async def RequestAddressVerification(
        self, request: rpc.RequestAddressVerificationRequest, context: object
    ) -> rpc.RequestAddressVerificationResponse:
        caller = current().caller
        await self._accounts.request_address_verification(caller, await self._people.resolve(caller, request.user_id))
        return rpc.RequestAddressVerificationResponse()

    async def VerifyAddress(self, request: rpc.VerifyAddressRequest, context: object) -> rpc.VerifyAddressResponse:
        await self._accounts.verify_address(request.token)
        return rpc.VerifyAddressResponse()

    async def ClaimAccountMails(self, request: rpc.ClaimAccountMailsRequest, context: object) -> rpc.ClaimAccountMailsResponse:
        return rpc.ClaimAccountMailsResponse(mails=map(mail_to_proto, await self._accounts.claim_mails()))

    async def SettleAccountMails(self, request: rpc.SettleAccountMailsRequest, context: object) -> rpc.SettleAccountMailsResponse:
        await self._accounts.settle_mails(request.ids)
        return rpc.SettleAccountMailsResponse()
