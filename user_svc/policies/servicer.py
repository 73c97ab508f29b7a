"""clarion.user.v1.PolicyService: messages in, one use case, messages out."""

from clarion.user.v1 import policy_service_pb2 as rpc
from clarion.user.v1.policy_service_pb2_grpc import PolicyServiceServicer
from mesh.context import current
from user_svc.policies.convert import (
    category_change_from_proto,
    category_from_proto,
    category_to_proto,
    policy_change_from_proto,
    policy_to_proto,
)
from user_svc.policies.use_cases import Policies


class PolicyServicer(PolicyServiceServicer):
    """Serves policies and categories. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def GetDeliveryPolicy(self, request: rpc.GetDeliveryPolicyRequest, context: object) -> rpc.GetDeliveryPolicyResponse:
        return rpc.GetDeliveryPolicyResponse(policy=policy_to_proto(await self._policies.get_policy(current().caller)))

    async def UpdateDeliveryPolicy(self, request: rpc.UpdateDeliveryPolicyRequest, context: object) -> rpc.UpdateDeliveryPolicyResponse:
        change = policy_change_from_proto(request)
        policy = await self._policies.update_policy(current().caller, change, etag=request.policy.etag)
        return rpc.UpdateDeliveryPolicyResponse(policy=policy_to_proto(policy))

    async def CreateCategory(self, request: rpc.CreateCategoryRequest, context: object) -> rpc.CreateCategoryResponse:
        category = await self._policies.create_category(current().caller, category_from_proto(request.category))
        return rpc.CreateCategoryResponse(category=category_to_proto(category))

    async def GetCategory(self, request: rpc.GetCategoryRequest, context: object) -> rpc.GetCategoryResponse:
        return rpc.GetCategoryResponse(category=category_to_proto(await self._policies.get_category(current().caller, request.id)))

    async def ListCategories(self, request: rpc.ListCategoriesRequest, context: object) -> rpc.ListCategoriesResponse:
        page = await self._policies.list_categories(current().caller, request.page_size, request.page_token)
        return rpc.ListCategoriesResponse(categories=map(category_to_proto, page.items), next_page_token=page.next_token)

    async def UpdateCategory(self, request: rpc.UpdateCategoryRequest, context: object) -> rpc.UpdateCategoryResponse:
        change = category_change_from_proto(request)
        category = await self._policies.update_category(current().caller, request.id, change, etag=request.category.etag)
        return rpc.UpdateCategoryResponse(category=category_to_proto(category))

    async def DeleteCategory(self, request: rpc.DeleteCategoryRequest, context: object) -> rpc.DeleteCategoryResponse:
        await self._policies.delete_category(current().caller, request.id)
        return rpc.DeleteCategoryResponse()
