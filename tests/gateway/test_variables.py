"""What is refused about the variables of a send, before it is accepted."""

import pytest
from google.protobuf.struct_pb2 import Struct, Value

from mesh.errors import InvalidArgument
from mesh.json_schema import JsonSchema
from tests.gateway.test_sending import World, call, draft, world

__all__ = ["call", "world"]


async def test_all_that_is_wrong_with_variables_is_named_at_once(world: World) -> None:
    schema = JsonSchema({"type": "object", "required": ["name", "total"], "properties": {"total": {}, "count": {"type": "integer"}}})
    world.templates.known["welcome"] = world.templates.known["welcome"]._replace(variables_schema=schema)
    with pytest.raises(InvalidArgument) as caught:
        await world.sender.send(draft(variables=Struct(fields={"count": Value(string_value="two")})), None)
    assert caught.value.reason == "MISSING_VARIABLE"
    assert sorted(violation.field for violation in caught.value.violations) == ["variables.count", "variables.name", "variables.total"]
    assert caught.value.message == "variables: the template needs name (and 2 more)"
