"""The auditor of escalation: a job apart from what escalates, which finds who should have been told and was not.

It compares what is due with what was done, each minute, in a worker; what escalates is a thread of the sentinel. What
it finds is said by ways that need no message to get through: a critical line in the log, an alert on the screen, and
the dead man's switch, which is not fed meanwhile.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import Count, Q
from django.db.models.functions import Now

from reliability.core.escalation import EscalationState, Step, on_call, steps_from
from reliability.core.incidents import UNRESOLVED, IncidentKind, IncidentState
from reliability.core.jobs import ClaimedJob, Disposition, Done, Performed
from reliability.models import Delivery, DeliveryState, Escalation, EscalationPolicy, Incident, Recipient
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, follow_condition
from reliability.services.escalation import database_now, fitting_policy, rota_shifts
from reliability.services.jobs.kinds import JobKind, Prepared
from reliability.services.quiet import is_quiet

AUDIT_KIND = "alerts.audit"
CONDITION = "escalation.stuck"
_MOST = 20
_LATELY = timedelta(hours=1)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why somebody was not told: ``kind`` is overdue, untold, undelivered, failed or nobody."""

    kind: str
    text: str


def find_problems() -> list[Problem]:
    """Return what keeps people from being told now; reads rows only, and trusts nothing that escalates."""
    limits = read_thresholds(CONDITION)
    overdue, stuck = (timedelta(seconds=limits[name]) for name in ("overdue_seconds", "stuck_seconds"))
    found = [*_overdue(overdue), *_untold(overdue), *_undelivered(stuck), *_failed(), *_nobody()]
    return found[: 5 * _MOST]


def audit_escalation() -> list[Problem]:
    """Look once and say what was found, by every second way; returns it."""
    problems = find_problems()
    by_kind: dict[str, list[str]] = {}
    for one in problems:
        by_kind.setdefault(one.kind, []).append(one.text)
    for kind, texts in by_kind.items():
        logger.critical("people were not told", extra={"kind": kind, "problems": len(texts), "first": texts[0]})
    present = [Raising(CONDITION, f"escalation:{kind}", _summary(texts)) for kind, texts in by_kind.items()]
    follow_condition(CONDITION, present, reason="everybody who should be told was told")
    return problems


class AuditEscalationJob(JobKind):
    """On schedule, once a minute."""

    name: ClassVar[str] = AUDIT_KIND
    lane: ClassVar[str] = "alerts"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        audit_escalation()
        return {job.id: Done() for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")


def _overdue(patience: timedelta) -> Iterator[Problem]:
    """Steps, reminders and repeats whose time is long past and which nobody carried out."""
    rows = Escalation.objects.filter(next_step_at__lt=Now() - patience, incident__state__in=UNRESOLVED)
    for row in rows.exclude(state=EscalationState.OVER).select_related("incident").order_by("next_step_at")[:_MOST]:
        yield Problem("overdue", f"{row.incident.number}: the next step was due at {row.next_step_at:%H:%M:%S}Z.")


def _untold(patience: timedelta) -> Iterator[Problem]:
    """Open incidents that a policy fits and nobody escalates."""
    rows = Incident.objects.filter(kind=IncidentKind.REAL, state=IncidentState.OPEN, changed_at__lt=Now() - patience)
    without = rows.filter(Q(escalation=None) | Q(escalation__state=EscalationState.OVER))
    for incident in without.order_by("severity", "id")[:_MOST]:
        if fitting_policy(incident) is not None and not is_quiet(incident.pk):
            yield Problem("untold", f"{incident.number} is open and nobody is told: {incident.title}")


def _undelivered(patience: timedelta) -> Iterator[Problem]:
    """Messages that have waited for longer than all attempts take."""
    rows = Delivery.objects.filter(state=DeliveryState.WAITING, created_at__lt=Now() - patience)
    for row in rows.select_related("recipient").order_by("id")[:_MOST]:
        yield Problem("undelivered", f"A message to {row.recipient.name} waits since {row.created_at:%H:%M:%S}Z.")


def _failed() -> Iterator[Problem]:
    """Unresolved incidents of which lately not one message got through."""
    lately = Delivery.objects.filter(created_at__gt=Now() - _LATELY, incident__state__in=UNRESOLVED)
    counts = lately.values("incident_id").annotate(
        failed=Count("pk", filter=Q(state=DeliveryState.FAILED)),
        others=Count("pk", filter=~Q(state=DeliveryState.FAILED)),
    )
    ids = [row["incident_id"] for row in counts.filter(failed__gt=0, others=0).order_by("incident_id")[:_MOST]]
    for incident in Incident.objects.filter(pk__in=ids).order_by("severity", "id"):
        yield Problem("failed", f"{incident.number}: no message about it got through to anybody.")


def _nobody() -> Iterator[Problem]:
    """Policies and running escalations with a step that would reach nobody now."""
    chains = {f"policy {row.name}": row.steps for row in EscalationPolicy.objects.filter(is_enabled=True)}
    for row in Escalation.objects.filter(state=EscalationState.PAGING).select_related("incident")[:_MOST]:
        chains[row.incident.number] = row.steps
    if not chains:
        return
    people = set(Recipient.objects.filter(is_enabled=True).values_list("name", flat=True))
    now = database_now()
    on_rota = {rota: set(on_call(rota_shifts(rota), now)) for rota in _rotas(chains.values())}
    for name, steps in chains.items():
        for number, step in enumerate(steps_from(steps), start=1):
            if not people & set(step.people).union(*(on_rota[rota] for rota in step.rotas)):
                yield Problem("nobody", f"Step {number} of {name} reaches nobody now: {_addressed(step)}.")


def _rotas(chains: Iterable[Any]) -> set[str]:
    return {rota for steps in chains for step in steps_from(steps) for rota in step.rotas}


def _addressed(step: Step) -> str:
    rotas = [f"nobody is on call in {rota}" for rota in step.rotas]
    return ", ".join([*rotas, *(f"{name} cannot be told" for name in step.people)])


def _summary(texts: Sequence[str]) -> str:
    more = f" And {len(texts) - 1} more." if len(texts) > 1 else ""
    return texts[0] + more
