"""Which sagas there are, and how they are asked for."""

from enum import StrEnum
from typing import NamedTuple

from mesh.sagas.state import SagaState


class Kind(StrEnum):
    """What a saga does."""

    ERASURE = "erasure"
    ERASURE_SWEEP = "erasure_sweep"
    PROJECT_ERASURE = "project_erasure"
    PROJECT_ERASURE_SWEEP = "project_erasure_sweep"


class SagaFilters(NamedTuple):
    """Which sagas of a project to list; None means all."""

    project: str
    kind: str | None = None
    state: SagaState | None = None

    def as_mapping(self) -> dict[str, object]:
        """What a page token is bound to."""
        return {name: str(value) for name, value in self._asdict().items() if value is not None}
