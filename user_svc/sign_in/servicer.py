"""clarion.user.v1.SignInService: messages in, one use case, messages out."""

from clarion.user.v1 import sign_in_service_pb2 as rpc
from clarion.user.v1.sign_in_service_pb2_grpc import SignInServiceServicer
from user_svc.auth.convert import token_fields
from user_svc.sign_in.use_cases import SignIns


class SignInServicer(SignInServiceServicer):
    """Serves signing in at issuers. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, sign_ins: SignIns) -> None:
        self._sign_ins = sign_ins

    async def ListIssuers(self, request: rpc.ListIssuersRequest, context: object) -> rpc.ListIssuersResponse:
        return rpc.ListIssuersResponse(issuers=[rpc.Issuer(id=one.id, title=one.title) for one in self._sign_ins.list_issuers()])

    async def BeginSignIn(self, request: rpc.BeginSignInRequest, context: object) -> rpc.BeginSignInResponse:
        url, flow = await self._sign_ins.begin(request.issuer)
        return rpc.BeginSignInResponse(authorization_url=url, flow=flow)

    async def CompleteSignIn(self, request: rpc.CompleteSignInRequest, context: object) -> rpc.CompleteSignInResponse:
        tokens = await self._sign_ins.complete(request.flow, request.state, request.code, request.iss)
        return rpc.CompleteSignInResponse(**token_fields(tokens))
