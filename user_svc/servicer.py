"""clarion.user.v1.UserService: messages in, one use case, messages out."""

from clarion.user.v1 import address_pb2, device_pb2, preference_pb2, suppression_pb2, user_pb2
from clarion.user.v1 import user_service_pb2 as rpc
from clarion.user.v1.user_service_pb2_grpc import UserServiceServicer
from mesh.context import current
from mesh.errors import ServiceError
from mesh.rpc.timestamps import from_timestamp
from mesh.rpc.validation import validate
from user_svc.addresses.convert import address_to_proto
from user_svc.addresses.use_cases import Addresses
from user_svc.devices.convert import device_to_proto, platform_from_proto
from user_svc.devices.use_cases import Devices
from user_svc.preferences.convert import preference_changes_from_proto, preferences_to_proto
from user_svc.preferences.use_cases import PreferenceBook
from user_svc.suppressions.convert import suppression_to_proto
from user_svc.suppressions.use_cases import Suppressions
from user_svc.users.convert import (
    changes_from_proto,
    check_makes_person,
    new_user_from_proto,
    person_from_proto,
    upsert_result_to_proto,
    user_to_proto,
)
from user_svc.users.errors import ErasedByGateway
from user_svc.users.models import UserChanges
from user_svc.users.use_cases import Users


class UserServicer(UserServiceServicer):
    """Serves people and what belongs to them. `context` is unused: what a call carries is in `mesh.context.current()`."""

    def __init__(
        self, *, users: Users, addresses: Addresses, devices: Devices, preferences: PreferenceBook, suppressions: Suppressions
    ) -> None:
        self._users = users
        self._addresses = addresses
        self._devices = devices
        self._preferences = preferences
        self._suppressions = suppressions

    async def _id_of(self, reference: str) -> str:
        return await self._users.resolve(current().caller, reference)

    async def CreateUser(self, request: rpc.CreateUserRequest, context: object) -> rpc.CreateUserResponse:
        user = await self._users.create_user(current().caller.project, new_user_from_proto(request), request.password)
        return rpc.CreateUserResponse(user=user_to_proto(user))

    async def GetUser(self, request: rpc.GetUserRequest, context: object) -> rpc.GetUserResponse:
        user = await self._users.get_user(current().caller, await self._id_of(request.id))
        return rpc.GetUserResponse(user=user_to_proto(user))

    async def LookUpUser(self, request: rpc.LookUpUserRequest, context: object) -> rpc.LookUpUserResponse:
        user = await self._users.look_up_user(current().caller.project, request.device_token)
        return rpc.LookUpUserResponse(user=user_to_proto(user))

    async def ListUsers(self, request: rpc.ListUsersRequest, context: object) -> rpc.ListUsersResponse:
        page = await self._users.list_users(current().caller.project, request.email, request.page_size, request.page_token)
        return rpc.ListUsersResponse(users=map(user_to_proto, page.items), next_page_token=page.next_token)

    async def UpdateUser(self, request: rpc.UpdateUserRequest, context: object) -> rpc.UpdateUserResponse:
        caller, changes, etag = current().caller, changes_from_proto(request), request.user.etag
        if request.allow_missing:
            check_makes_person(request.id)
            user = await self._users.upsert_user(caller, request.id, changes, etag=etag)
        else:
            user = await self._users.update_user(caller, await self._id_of(request.id), changes, etag=etag)
        return rpc.UpdateUserResponse(user=user_to_proto(user))

    async def BatchUpsertUsers(self, request: rpc.BatchUpsertUsersRequest, context: object) -> rpc.BatchUpsertUsersResponse:
        etags = {index: user.etag for index, user in enumerate(request.users) if user.etag}
        results = await self._users.upsert_users(current().caller, [_person(user) for user in request.users], etags)
        written = sum(isinstance(result, str) for result in results)
        return rpc.BatchUpsertUsersResponse(results=map(upsert_result_to_proto, results), written_count=written)

    async def DeleteUser(self, request: rpc.DeleteUserRequest, context: object) -> rpc.DeleteUserResponse:
        raise ErasedByGateway

    async def GetPreferences(self, request: preference_pb2.GetPreferencesRequest, context: object) -> preference_pb2.GetPreferencesResponse:
        preferences = await self._preferences.get_preferences(current().caller, await self._id_of(request.user_id))
        return preference_pb2.GetPreferencesResponse(preferences=preferences_to_proto(preferences))

    async def UpdatePreferences(
        self, request: preference_pb2.UpdatePreferencesRequest, context: object
    ) -> preference_pb2.UpdatePreferencesResponse:
        preferences = await self._preferences.update_preferences(
            current().caller, await self._id_of(request.user_id), preference_changes_from_proto(request), etag=request.etag
        )
        return preference_pb2.UpdatePreferencesResponse(preferences=preferences_to_proto(preferences))

    async def CreateDevice(self, request: device_pb2.CreateDeviceRequest, context: object) -> device_pb2.CreateDeviceResponse:
        platform = platform_from_proto(request.platform)
        caller, user_id = current().caller, await self._id_of(request.user_id)
        device = await self._devices.create_device(caller, user_id, request.token, platform, request.app)
        return device_pb2.CreateDeviceResponse(device=device_to_proto(device))

    async def ListDevices(self, request: device_pb2.ListDevicesRequest, context: object) -> device_pb2.ListDevicesResponse:
        devices = await self._devices.list_devices(current().caller, await self._id_of(request.user_id), show_removed=request.show_removed)
        return device_pb2.ListDevicesResponse(devices=map(device_to_proto, devices))

    async def DeleteDevice(self, request: device_pb2.DeleteDeviceRequest, context: object) -> device_pb2.DeleteDeviceResponse:
        await self._devices.delete_device(current().caller, await self._id_of(request.user_id), request.id)
        return device_pb2.DeleteDeviceResponse()

    async def CreateAddress(self, request: address_pb2.CreateAddressRequest, context: object) -> address_pb2.CreateAddressResponse:
        caller, user_id = current().caller, await self._id_of(request.user_id)
        address = await self._addresses.create_address(caller, user_id, request.address, primary=request.primary)
        return address_pb2.CreateAddressResponse(address=address_to_proto(address))

    async def ListAddresses(self, request: address_pb2.ListAddressesRequest, context: object) -> address_pb2.ListAddressesResponse:
        found = await self._addresses.list_addresses(current().caller, await self._id_of(request.user_id))
        return address_pb2.ListAddressesResponse(addresses=map(address_to_proto, found))

    async def DeleteAddress(self, request: address_pb2.DeleteAddressRequest, context: object) -> address_pb2.DeleteAddressResponse:
        await self._addresses.delete_address(current().caller, await self._id_of(request.user_id), request.address)
        return address_pb2.DeleteAddressResponse()

    async def CreateSuppression(
        self, request: suppression_pb2.CreateSuppressionRequest, context: object
    ) -> suppression_pb2.CreateSuppressionResponse:
        end = from_timestamp("expire_time", request.expire_time) if request.HasField("expire_time") else None
        suppression = await self._suppressions.create_suppression(
            current().caller.project, request.address, request.reason, category=request.category, expire_time=end
        )
        return suppression_pb2.CreateSuppressionResponse(suppression=suppression_to_proto(suppression))

    async def ListSuppressions(
        self, request: suppression_pb2.ListSuppressionsRequest, context: object
    ) -> suppression_pb2.ListSuppressionsResponse:
        page = await self._suppressions.list_suppressions(current().caller.project, request.page_size, request.page_token, request.address)
        return suppression_pb2.ListSuppressionsResponse(suppressions=map(suppression_to_proto, page.items), next_page_token=page.next_token)

    async def DeleteSuppression(
        self, request: suppression_pb2.DeleteSuppressionRequest, context: object
    ) -> suppression_pb2.DeleteSuppressionResponse:
        await self._suppressions.delete_suppression(current().caller.project, request.address, request.category)
        return suppression_pb2.DeleteSuppressionResponse()


def _person(user: user_pb2.User) -> UserChanges | ServiceError:
    """Of many people each is checked on its own."""
    try:
        validate(user)
    except ServiceError as error:
        return error
    return person_from_proto(user)
