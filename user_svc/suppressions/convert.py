"""Suppressions from models to their messages."""

from clarion.user.v1 import suppression_pb2
from mesh.rpc.timestamps import to_timestamp
from user_svc.suppressions.models import Suppression


def suppression_to_proto(suppression: Suppression) -> suppression_pb2.Suppression:
    return suppression_pb2.Suppression(
        address=suppression.address,
        reason=suppression.reason,
        create_time=to_timestamp(suppression.create_time),
        evidence=suppression.evidence,
        category=suppression.category,
        expire_time=to_timestamp(suppression.expire_time),
    )
