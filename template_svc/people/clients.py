"""What template_svc asks user_svc about people."""

from typing import Any

import grpc.aio

from clarion.user.v1.recipient_service_pb2 import DescribePersonRequest
from clarion.user.v1.recipient_service_pb2_grpc import RecipientServiceStub
from mesh.errors import NotFound
from template_svc.messages import json_of_struct
from template_svc.models import Person


class PeopleClient:
    """Implements `people.use_cases.People` over a channel to user_svc."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = RecipientServiceStub(channel)

    async def find(self, project: str, reference: str) -> Person | None:
        """Raises Unavailable while user_svc is down."""
        try:
            found = await self._stub.DescribePerson(DescribePersonRequest(project=project, reference=reference))
        except NotFound:
            return None
        return Person(found.locale, found.timezone, found.name, json_of_struct(found.attributes))
