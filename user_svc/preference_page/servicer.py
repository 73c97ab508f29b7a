"""clarion.user.v1.PreferencePageService: messages in, one use case, messages out."""

from clarion.user.v1 import preference_page_service_pb2 as rpc
from clarion.user.v1.preference_page_service_pb2_grpc import PreferencePageServiceServicer
from mesh.context import current
from user_svc.preference_page.convert import brand_change_from_proto, brand_to_proto, choices_from_proto, page_to_proto
from user_svc.preference_page.use_cases import Brands, PreferencePages
from user_svc.users.use_cases import Users


class PreferencePageServicer(PreferencePageServiceServicer):
    """Serves the page and the brand. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, pages: PreferencePages, brands: Brands, users: Users) -> None:
        self._pages = pages
        self._brands = brands
        self._users = users

    async def CreatePreferenceLink(self, request: rpc.CreatePreferenceLinkRequest, context: object) -> rpc.CreatePreferenceLinkResponse:
        caller = current().caller
        token = await self._pages.create_link(caller, await self._users.resolve(caller, request.user_id))
        return rpc.CreatePreferenceLinkResponse(path=f"/preferences/{token}")

    async def GetBrand(self, request: rpc.GetBrandRequest, context: object) -> rpc.GetBrandResponse:
        return rpc.GetBrandResponse(brand=brand_to_proto(await self._brands.get_brand(current().caller)))

    async def UpdateBrand(self, request: rpc.UpdateBrandRequest, context: object) -> rpc.UpdateBrandResponse:
        change = brand_change_from_proto(request)
        return rpc.UpdateBrandResponse(
            brand=brand_to_proto(await self._brands.update_brand(current().caller, change, etag=request.brand.etag))
        )

    async def DescribePreferencePage(
        self, request: rpc.DescribePreferencePageRequest, context: object
    ) -> rpc.DescribePreferencePageResponse:
        return rpc.DescribePreferencePageResponse(page=page_to_proto(await self._pages.describe(request.token)))

    async def SavePreferencePage(self, request: rpc.SavePreferencePageRequest, context: object) -> rpc.SavePreferencePageResponse:
        page = await self._pages.save(request.token, choices_from_proto(request))
        return rpc.SavePreferencePageResponse(page=page_to_proto(page))
