"""Canaries between their messages and models."""

from clarion.template.v1 import canary_pb2 as proto
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import to_timestamp
from template_svc.canaries.models import Canary, State, Unit

_TO_STATE = {state: proto.CanaryState.Value(f"CANARY_STATE_{state.name}") for state in State}
_TO_UNIT = {unit: proto.CanaryUnit.Value(f"CANARY_UNIT_{unit.name}") for unit in Unit}
_UNITS: dict[int, Unit] = {0: Unit.NOTIFICATION, **{number: unit for unit, number in _TO_UNIT.items()}}


def canary_to_proto(canary: Canary) -> proto.Canary:
    return proto.Canary(
        template=canary.version.template,
        version=canary.version.version,
        percent=canary.share.percent,
        unit=_TO_UNIT[canary.share.unit],
        note=canary.mark.note,
        published_version=canary.published_version,
        state=_TO_STATE[canary.state],
        started_by=canary.mark.by,
        start_time=to_timestamp(canary.start_time),
        end_time=to_timestamp(canary.end_time),
        ended_by=canary.ended_by,
    )


def unit_from_proto(number: int) -> Unit:
    """Raises InvalidArgument for a number that stands for nothing."""
    if number not in _UNITS:
        raise InvalidArgument.of("unit", "must be notification or user")
    return _UNITS[number]
