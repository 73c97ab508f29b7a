"""clarion.user.v1.SecondFactorService: messages in, one use case, messages out."""

from typing import Protocol

from clarion.user.v1 import second_factor_service_pb2 as rpc
from clarion.user.v1.second_factor_service_pb2_grpc import SecondFactorServiceServicer
from mesh.context import Caller, current
from mesh.rpc.timestamps import to_timestamp
from user_svc.second_factor.models import Standing
from user_svc.second_factor.use_cases import SecondFactors


class People(Protocol):
    """Who is meant."""

    async def resolve(self, caller: Caller, reference: str) -> str:
        """Our id for an id of ours or an external one; what belongs to no person comes back as it is."""


class SecondFactorServicer(SecondFactorServiceServicer):
    """Serves second factors. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, factors: SecondFactors, people: People) -> None:
        self._factors = factors
        self._people = people

    async def BeginSecondFactor(self, request: rpc.BeginSecondFactorRequest, context: object) -> rpc.BeginSecondFactorResponse:
        begun = await self._factors.begin(current().caller, request.current_password)
        return rpc.BeginSecondFactorResponse(secret=begun.secret, otpauth_uri=begun.otpauth_uri)

    async def ConfirmSecondFactor(self, request: rpc.ConfirmSecondFactorRequest, context: object) -> rpc.ConfirmSecondFactorResponse:
        return rpc.ConfirmSecondFactorResponse(recovery_codes=await self._factors.confirm(current().caller, request.code))

    async def CreateRecoveryCodes(self, request: rpc.CreateRecoveryCodesRequest, context: object) -> rpc.CreateRecoveryCodesResponse:
        return rpc.CreateRecoveryCodesResponse(recovery_codes=await self._factors.create_recovery_codes(current().caller, request.code))

    async def GetSecondFactor(self, request: rpc.GetSecondFactorRequest, context: object) -> rpc.GetSecondFactorResponse:
        caller = current().caller
        standing = await self._factors.standing(caller, await self._people.resolve(caller, request.user_id))
        return rpc.GetSecondFactorResponse(second_factor=_to_proto(standing))

    async def RemoveSecondFactor(self, request: rpc.RemoveSecondFactorRequest, context: object) -> rpc.RemoveSecondFactorResponse:
        caller = current().caller
        await self._factors.remove(caller, await self._people.resolve(caller, request.user_id), request.code)
        return rpc.RemoveSecondFactorResponse()


def _to_proto(standing: Standing) -> rpc.SecondFactor:
    return rpc.SecondFactor(
        enabled=standing.confirm_time is not None,
        confirm_time=to_timestamp(standing.confirm_time),
        recovery_codes_left=standing.recovery_codes_left,
    )
