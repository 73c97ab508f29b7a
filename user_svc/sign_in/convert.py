"""Identities from models to their messages."""

from clarion.user.v1 import session_pb2
from mesh.rpc.timestamps import to_timestamp
from user_svc.sign_in.models import Identity


def identity_to_proto(identity: Identity) -> session_pb2.Identity:
    return session_pb2.Identity(issuer=identity.issuer, subject=identity.subject, create_time=to_timestamp(identity.create_time))
