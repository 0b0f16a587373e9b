"""Reading what was disrupted lately: circuits that closed again, and attempts whose process died."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Max

from reliability.core.breaker import BreakerState
from reliability.core.jobs import AttemptOutcome
from reliability.models import CircuitTransition, JobAttempt


@dataclass(frozen=True, slots=True)
class ClosedCircuit:
    """A circuit that lets calls through again; ``id`` is of the change."""

    id: int
    circuit: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LostAttempt:
    """An attempt that ended with its process, which is known by its pulse."""

    id: int
    pulse: int
    kind: str
    subject: UUID | None
    at: datetime


def latest_disruption_ids() -> tuple[int, int]:
    """Return the last change of a circuit and the last attempt there are now, 0 where there is none."""
    circuit = CircuitTransition.objects.aggregate(last=Max("pk"))["last"]
    attempt = JobAttempt.objects.aggregate(last=Max("pk"))["last"]
    return circuit or 0, attempt or 0


def circuits_closed_after(change_id: int, limit: int = 1000) -> list[ClosedCircuit]:
    """Return changes to closed that came after one, oldest first."""
    rows = CircuitTransition.objects.filter(pk__gt=change_id, to_state=BreakerState.CLOSED, is_local=False)
    values = rows.order_by("pk").values_list("pk", "circuit", "at")[:limit]
    return [ClosedCircuit(*row) for row in values]


def attempts_lost_after(attempt_id: int, limit: int = 1000) -> list[LostAttempt]:
    """Return attempts lost with their process that came after one, oldest first."""
    rows = JobAttempt.objects.filter(pk__gt=attempt_id, outcome=AttemptOutcome.LOST, worker__isnull=False)
    values = rows.order_by("pk").values_list("pk", "worker", "job__kind", "job__subject", "recorded_at")[:limit]
    return [LostAttempt(pk, pulse or 0, kind, subject, at) for pk, pulse, kind, subject, at in values]
