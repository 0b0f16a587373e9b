"""Reading sagas: where they stand, their steps and their events."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from reliability.core.saga import RESTORED, SagaState
from reliability.models import Saga, SagaEvent, SagaStep


@dataclass(frozen=True, slots=True)
class SagaStatus:
    """One saga as a plain value; ``steps`` are in order."""

    id: UUID
    state: SagaState
    error_code: str
    error_message: str
    deadline_at: datetime | None
    finished_at: datetime | None
    steps: tuple["StepStatus", ...]


@dataclass(frozen=True, slots=True)
class StepStatus:
    number: int
    state: str
    compensation: str
    error_code: str
    error_message: str


def get_saga_status(saga_id: UUID) -> SagaStatus:
    """Raises ``Saga.DoesNotExist`` when there is no such saga."""
    saga = Saga.objects.get(pk=saga_id)
    fields = ("number", "state", "compensation", "error_code", "error_message")
    steps = SagaStep.objects.filter(saga=saga).order_by("number").values_list(*fields)
    return SagaStatus(
        id=saga.pk,
        state=SagaState(saga.state),
        error_code=saga.error_code,
        error_message=saga.error_message,
        deadline_at=saga.deadline_at,
        finished_at=saga.finished_at,
        steps=tuple(StepStatus(*row) for row in steps),
    )


def was_restored(saga_id: UUID) -> bool:
    """Return whether a saga came back with a backup, so that it may have done more than is on record."""
    return SagaEvent.objects.filter(saga_id=saga_id, kind=RESTORED).exists()


def list_saga_steps(saga_id: UUID) -> list[SagaStep]:
    """Return the steps of a saga in their order."""
    return list(SagaStep.objects.filter(saga_id=saga_id).order_by("number"))


def list_saga_events(saga_id: UUID) -> list[dict[str, Any]]:
    """Return everything that was recorded of a saga, oldest first."""
    fields = ("sequence", "kind", "step", "from_state", "to_state", "actor", "detail", "recorded_at")
    return list(SagaEvent.objects.filter(saga_id=saga_id).order_by("sequence").values(*fields))


def saga_states(saga_ids: list[UUID]) -> dict[UUID, SagaState]:
    rows = Saga.objects.filter(pk__in=saga_ids).values_list("pk", "state")
    return {pk: SagaState(state) for pk, state in rows}
