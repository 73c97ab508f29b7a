"""Addresses from models to their messages."""

from clarion.user.v1 import address_pb2
from mesh.rpc.timestamps import to_timestamp
from user_svc.addresses.models import PersonAddress


def address_to_proto(address: PersonAddress) -> address_pb2.UserAddress:
    return address_pb2.UserAddress(
        address=address.address,
        primary=address.primary,
        verified=address.verify_time is not None,
        becomes_primary=address.becomes_primary,
        verify_time=to_timestamp(address.verify_time),
        expire_time=to_timestamp(address.expire_time),
    )
