"""clarion.notification.v1.ChangeService: messages in, one use case, messages out."""

from collections.abc import AsyncIterator

from clarion.notification.v1 import change_service_pb2 as rpc
from clarion.notification.v1.change_service_pb2_grpc import ChangeServiceServicer
from gateway.changes.convert import change_message, filters_of
from gateway.changes.use_cases import Feed
from mesh.context import current


class ChangeServicer(ChangeServiceServicer):
    """Serves the feed. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def ListChanges(self, request: rpc.ListChangesRequest, context: object) -> rpc.ListChangesResponse:
        filters = filters_of(current().caller.project, request)
        page = await self._feed.page(await self._feed.of_person(filters, request.user_id), request.cursor, request.page_size)
        next_cursor = str(page.next_position) if page.next_position else ""
        return rpc.ListChangesResponse(changes=map(change_message, page.changes), next_cursor=next_cursor, has_more=page.has_more)

    async def WatchChanges(self, request: rpc.WatchChangesRequest, context: object) -> AsyncIterator[rpc.WatchChangesResponse]:
        filters = await self._feed.of_person(filters_of(current().caller.project, request), request.user_id)
        after = await self._feed.begin(filters.project, request.cursor)
        if not request.cursor:
            # a stream that is cut before its first change is resumed from here
            yield rpc.WatchChangesResponse(cursor=str(after))
        async for change in self._feed.watch(filters, after):
            yield rpc.WatchChangesResponse(change=change_message(change), cursor=str(change.position))
