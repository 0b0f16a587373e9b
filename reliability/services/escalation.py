"""Carry the telling of incidents on: steps that are due, reminders, taking acknowledgements back, repeats.

The course is in the row: ``next_step_at`` says when to look again, and the fence keeps a step that was decided
before a person acted from being carried out after it. Any number of processes may look; each row is one's.
"""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from reliability.core.escalation import (
    UPDATE_INTERVAL,
    EscalationState,
    Shift,
    Step,
    TellingReason,
    group_wait,
    on_call,
    reminder_interval,
    repeat_interval,
    steps_from,
)
from reliability.core.incidents import IncidentKind, IncidentState
from reliability.models import Escalation, EscalationPolicy, Incident, Recipient, RotaShift
from reliability.services.alerting import end_alerts, raise_alert
from reliability.services.delivery import Message, tell
from reliability.services.quiet import is_quiet, loud_alerts
from reliability.services.timeline import Happening, record_timeline

_BATCH = 100


def begin_escalation(incident: Incident) -> None:
    """Copy the policy that fits, so that a later change of it does not change what was promised. None may fit."""
    policy = fitting_policy(incident)
    if policy is None or incident.kind == IncidentKind.DRILL:
        return
    steps = steps_from(policy.steps)
    now = database_now()
    values = {
        "policy": policy.name,
        "steps": [step.to_dict() for step in steps],
        "rounds": policy.rounds,
        "state": EscalationState.PAGING,
        "step": 0,
        "round": 1,
        "next_step_at": now + max(group_wait(incident.severity), steps[0].wait),
        "told_at": None,
        "told_alerts": 0,
    }
    escalation, created = Escalation.objects.get_or_create(incident=incident, defaults=values)
    if not created:
        Escalation.objects.filter(pk=escalation.pk).update(**values, fence=F("fence") + 1)


def acknowledge_escalation(incident_id: int) -> None:
    """Stop paging; whoever acknowledged is reminded after a while."""
    incident = Incident.objects.get(pk=incident_id)
    open_ones = Escalation.objects.filter(incident_id=incident_id).exclude(state=EscalationState.OVER)
    open_ones.update(
        state=EscalationState.ACKNOWLEDGED,
        step=0,
        fence=F("fence") + 1,
        next_step_at=database_now() + reminder_interval(incident.severity),
    )
    end_alerts([("escalation.exhausted", f"incident:{incident_id}")], by="", reason="somebody acknowledged it")


def end_escalation(incident_id: int) -> None:
    """Nobody is told any more, but that it is over, if anybody was told that it began."""
    row = Escalation.objects.select_for_update().filter(incident_id=incident_id).first()
    if row is None or row.state == EscalationState.OVER:
        return
    if row.told_at is not None and loud_alerts(incident_id).exists():
        _tell(row, _told_people(row), TellingReason.RESOLVED)
    row.state, row.next_step_at, row.fence = EscalationState.OVER, None, row.fence + 1
    row.save()
    end_alerts([("escalation.exhausted", f"incident:{incident_id}")], by="", reason="the incident is over")


def run_due_escalations() -> int:
    """Carry out what is due, each incident in a transaction of its own; returns how many were looked at."""
    number = 0
    while number < _BATCH and _run_one():
        number += 1
    return number


def _run_one() -> bool:
    """Lock the incident first, as people's decisions do, then see whether it is still due."""
    with transaction.atomic():
        due = Incident.objects.filter(escalation__next_step_at__lte=Now()).order_by("escalation__next_step_at")
        incident = due.select_for_update(skip_locked=True, of=("self",)).first()
        if incident is None:
            return False
        row = Escalation.objects.select_for_update().get(incident=incident)
        if row.next_step_at is not None and row.next_step_at <= database_now():
            _go_on(row, incident)
            row.fence += 1
            row.save()
    return True


def _go_on(row: Escalation, incident: Incident) -> None:
    """Decide by the state as it is now what the due instant means."""
    if incident.state in (IncidentState.RESOLVED, IncidentState.CLOSED):
        row.state, row.next_step_at = EscalationState.OVER, None
    elif is_quiet(incident.pk):
        row.next_step_at = database_now() + timedelta(seconds=10)
    elif row.state == EscalationState.ACKNOWLEDGED:
        _remind(row, incident)
    elif row.state == EscalationState.EXHAUSTED:
        _tell(row, _people(list(steps_from(row.steps))), TellingReason.REPEATED)
        row.next_step_at = database_now() + repeat_interval(incident.severity)
    else:
        _page(row, incident)


def _page(row: Escalation, incident: Incident) -> None:
    steps = steps_from(row.steps)
    reason = TellingReason.FIRST if row.told_at is None else TellingReason.ESCALATED
    _tell(row, _people([steps[row.step]]), reason)
    row.step += 1
    if row.step < len(steps):
        row.next_step_at = database_now() + steps[row.step].wait
        return
    if row.round < row.rounds:
        row.round, row.step = row.round + 1, 0
        row.next_step_at = database_now() + max(steps[0].wait, UPDATE_INTERVAL)
        return
    row.state, row.next_step_at = EscalationState.EXHAUSTED, database_now() + repeat_interval(incident.severity)
    record_timeline([Happening("incident", incident.pk, "nobody_answered")])
    text = f"Nobody acknowledged {incident.number}, told {row.rounds} times: {incident.title}"
    raise_alert("escalation.exhausted", f"incident:{incident.pk}", message=text, details={"incident": incident.pk})


def _remind(row: Escalation, incident: Incident) -> None:
    """Remind whoever acknowledged; unanswered, the acknowledgement is taken back and paging begins anew."""
    if row.step == 0:
        _tell(row, _owner(incident), TellingReason.REMINDER)
        row.step, row.next_step_at = 1, database_now() + reminder_interval(incident.severity)
        return
    Incident.objects.filter(pk=incident.pk).update(state=IncidentState.OPEN, acknowledged_at=None, acknowledged_by="")
    reason = f"{incident.acknowledged_by} did not answer the reminder"
    record_timeline(
        [Happening("incident", incident.pk, "unacknowledged", incident.state, IncidentState.OPEN, reason=reason)]
    )
    steps = steps_from(row.steps)
    _tell(row, _people([steps[0]]), TellingReason.UNACKNOWLEDGED)
    row.state, row.step, row.round = EscalationState.PAGING, min(1, len(steps) - 1), 1
    row.next_step_at = database_now() + (steps[1].wait if len(steps) > 1 else repeat_interval(incident.severity))


def tell_of_new_alerts() -> None:
    """Tell those who know of an incident that more belongs to it: at most every five minutes."""
    rows = Escalation.objects.select_for_update(skip_locked=True).filter(
        state__in=[EscalationState.PAGING, EscalationState.ACKNOWLEDGED, EscalationState.EXHAUSTED],
        told_at__lt=Now() - UPDATE_INTERVAL,
    )
    with transaction.atomic():
        for row in rows[:_BATCH]:
            loud = loud_alerts(row.incident_id).count()
            if loud > row.told_alerts:
                _tell(row, _told_people(row), TellingReason.NEW_ALERTS)
                row.save()
            elif loud < row.told_alerts:
                Escalation.objects.filter(pk=row.pk).update(told_alerts=loud)


def _tell(row: Escalation, people: list[Recipient], reason: TellingReason) -> None:
    """Write the messages of one telling; an unanswered call of nobody is on record, too."""
    incident = Incident.objects.get(pk=row.incident_id)
    alerts = list(loud_alerts(incident.pk).order_by("severity", "-id")[:20])
    told = tell(people, Message.about(incident, alerts, reason), key=f"incident:{incident.pk}:{row.pk}:{row.fence}")
    row.told_at = database_now()
    row.told_alerts = loud_alerts(incident.pk).count()
    names = ", ".join(one.name for one in people) or "nobody: no step names anybody who can be told"
    record_timeline(
        [Happening("incident", incident.pk, "told", reason=f"{reason.value}: {names}", detail={"deliveries": told})]
    )


def _people(steps: list[Step]) -> list[Recipient]:
    names = [name for step in steps for name in step.people]
    now = database_now()
    for rota in dict.fromkeys(rota for step in steps for rota in step.rotas):
        names += on_call(rota_shifts(rota), now)
    found = {one.name: one for one in Recipient.objects.filter(name__in=names, is_enabled=True)}
    return [found[name] for name in dict.fromkeys(names) if name in found]


def _told_people(row: Escalation) -> list[Recipient]:
    told = Recipient.objects.filter(deliveries__incident_id=row.incident_id, is_enabled=True)
    return list(told.distinct().order_by("name"))


def _owner(incident: Incident) -> list[Recipient]:
    own = Recipient.objects.filter(username=incident.acknowledged_by, is_enabled=True)
    return list(own) or _told_people(incident.escalation)


def rota_shifts(rota: str) -> list[Shift]:
    """Return who is on call when in a rota, by its name."""
    rows = RotaShift.objects.filter(rota__name=rota).select_related("recipient")
    return [
        Shift(row.recipient.name, frozenset(int(day) for day in row.weekdays), row.start, row.end, row.place)
        for row in rows
    ]


def fitting_policy(incident: Incident) -> EscalationPolicy | None:
    """Return the policy that an incident is escalated by, the first that fits; none may."""
    for policy in EscalationPolicy.objects.filter(is_enabled=True, least_severity__gte=incident.severity):
        domains = [one.strip() for one in policy.domains.split(",") if one.strip()]
        if not domains or incident.domain in domains:
            return policy
    return None


def database_now() -> datetime:
    """Return the clock of the database, which all instants here are of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at
