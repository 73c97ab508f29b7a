"""What sending mails about accounts asks of user_svc."""

from collections.abc import Sequence
from typing import Any

import grpc.aio

from clarion.user.v1.account_service_pb2 import ClaimAccountMailsRequest, SettleAccountMailsRequest
from clarion.user.v1.account_service_pb2_grpc import AccountServiceStub
from gateway.account_mails.use_cases import AccountMail


class AccountMailClient:
    """Implements `gateway.account_mails.use_cases.Source`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = AccountServiceStub(channel)

    async def claim(self) -> Sequence[AccountMail]:
        """Raises ServiceError."""
        response = await self._stub.ClaimAccountMails(ClaimAccountMailsRequest())
        return [AccountMail(mail.id, mail.project, mail.user_id, mail.template) for mail in response.mails]

    async def settle(self, ids: Sequence[str]) -> None:
        """Raises ServiceError."""
        await self._stub.SettleAccountMails(SettleAccountMailsRequest(ids=ids))
