"""Messages to people: written with what they tell of, handed over by jobs, each try on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

from django.db.models.functions import Now

from reliability.conf import get_conf
from reliability.core.channels import AttemptOutcome
from reliability.core.escalation import TellingReason
from reliability.core.incidents import rts24
from reliability.core.jobs import ClaimedJob, Disposition, Done, JobError, NotStartedError, Performed, Retry
from reliability.core.retry import RetryPolicy
from reliability.core.text import storable
from reliability.models import Alert, Delivery, DeliveryAttempt, DeliveryState, Incident, Recipient
from reliability.services.alerting import end_alerts, raise_alert
from reliability.services.channels import Handover, hand_over
from reliability.services.jobs.enqueue import NewJob, enqueue_jobs
from reliability.services.jobs.execution import failure_disposition
from reliability.services.jobs.kinds import JobKind, Prepared
from reliability.services.quiet import is_quiet
from reliability.services.secrets import unseal

DELIVER_KIND = "alerts.deliver"
_DECISIONS_LINKED = 5
_WORDS = {
    TellingReason.FIRST: "began",
    TellingReason.ESCALATED: "not acknowledged yet",
    TellingReason.NEW_ALERTS: "has further alerts",
    TellingReason.REPEATED: "goes on, and nobody acknowledged it",
    TellingReason.REMINDER: "is yours: acknowledge it again or it is taken back",
    TellingReason.UNACKNOWLEDGED: "is nobody's again",
    TellingReason.RESOLVED: "is over",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it will be sent, to whomever."""

    incident_id: int | None
    reason: TellingReason
    severity: int
    title: str
    body: str

    @classmethod
    def about(cls, incident: Incident, alerts: Sequence[Alert], reason: TellingReason) -> "Message":
        """Render what is to be told of an incident: what, since when, its alerts worst first, and where to look."""
        title = f"[{incident.severity_name}] {incident.number} {_WORDS[reason]}: {incident.title}"
        lines = [f"Since {rts24(incident.detected_at)}. State: {incident.state}.", ""]
        lines += [f"- {alert.severity_name} {alert.condition} {alert.scope}: {alert.message}" for alert in alerts]
        lines += _addresses(incident, alerts)
        return cls(incident.pk, reason, incident.severity, storable(title)[:200], storable("\n".join(lines)))


def _addresses(incident: Incident, alerts: Sequence[Alert]) -> list[str]:
    """Return where to look: first the decisions that are asked for, worst first, each a page of its own."""
    address = get_conf().public_url.rstrip("/")
    if not address:
        return []
    asked = [
        alert.details["intervention"]
        for alert in alerts
        if alert.resolved_at is None and "intervention" in alert.details
    ]
    decisions = [f"Decide: {address}/interventions/{pk}" for pk in asked[:_DECISIONS_LINKED]]
    return ["", *decisions, f"{address}/incidents/{incident.pk}"]


def tell(people: Sequence[Recipient], message: Message, *, key: str, instead_of: Delivery | None = None) -> list[int]:
    """Write a message for each, and the jobs that hand them over, in the caller's transaction; returns the new ids.

    ``key`` names the cause: for one cause each gets one message, whoever asks how often.
    """
    ids = []
    for one in people:
        values = {
            "incident_id": message.incident_id,
            "reason": message.reason,
            "title": message.title,
            "body": message.body,
            "severity": message.severity,
            "instead_of": instead_of,
        }
        delivery, created = Delivery.objects.get_or_create(key=key[:100], recipient=one, defaults=values)
        if created:
            ids.append(delivery.pk)
    enqueue_jobs(DELIVER_KIND, [NewJob(payload={"delivery": pk}, unique_key=f"delivery:{pk}") for pk in ids])
    return ids


@dataclass(frozen=True, slots=True)
class _Request:
    delivery: int
    address: str
    title: str
    body: str
    severity: int


class DeliverJob(JobKind):
    """Hands one message to one channel: again after 5xx, 429 and silence, not after a refusal; then to the fallback."""

    name: ClassVar[str] = DELIVER_KIND
    lane: ClassVar[str] = "alerts"
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=6, delay_initial=timedelta(seconds=2))
    timeout: ClassVar[timedelta] = timedelta(seconds=9)
    lease: ClassVar[timedelta | None] = timedelta(seconds=20)

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        found = Delivery.objects.select_related("recipient").in_bulk([job.payload["delivery"] for job in jobs])
        return {job.id: _prepared(found.get(job.payload["delivery"])) for job in jobs}

    async def perform(self, request: _Request) -> Handover:
        return await hand_over(request.address, request.title, request.body, request.severity)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {outcome.job.id: _apply(outcome) for outcome in outcomes}

    def apply_late(self, outcomes: Sequence[Performed]) -> None:
        """A message that was taken after all is sent: whoever retries it finds that out."""
        for outcome in outcomes:
            if isinstance(outcome.result, Handover) and outcome.result.is_sent:
                _note_sent(outcome)

    def discard(self, job: ClaimedJob, actor: str, reason: str) -> None:
        """It failed already; the alert about it stays until a message gets through."""


def _prepared(delivery: Delivery | None) -> Prepared:
    if delivery is None or delivery.state in (DeliveryState.SENT, DeliveryState.WITHHELD):
        return Done()
    if _is_withheld(delivery):
        Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.WITHHELD, finished_at=Now())
        return Done()
    address = unseal(delivery.recipient.address)
    return _Request(delivery.pk, address, delivery.title, delivery.body, delivery.severity)


def _is_withheld(delivery: Delivery) -> bool:
    """Return whether what it tells of was made quiet after it was written: a silence acts on what waits, too."""
    if delivery.incident_id is None or delivery.reason == TellingReason.RESOLVED:
        return False
    open_ones = Alert.objects.filter(incident_id=delivery.incident_id, resolved_at=None)
    return open_ones.exists() and is_quiet(delivery.incident_id)


def _apply(outcome: Performed) -> Disposition:
    if isinstance(outcome.error, NotStartedError):
        return failure_disposition(outcome)
    result = (
        outcome.result if isinstance(outcome.result, Handover) else Handover(False, message=repr(outcome.error)[:300])
    )
    if result.is_sent:
        _note_sent(outcome)
        return Done()
    is_last = result.is_final or outcome.job.attempt >= outcome.job.max_attempts
    kind = AttemptOutcome.REFUSED if result.is_final else AttemptOutcome.GIVEN_UP if is_last else AttemptOutcome.RETRIED
    _note_attempt(outcome, kind, result)
    error = JobError("SYSTEM_DELIVERY_FAILED", result.message, {"status": result.status})
    if not is_last:
        return Retry(error)
    _give_up(outcome.request.delivery, result)
    return Done()  # the delivery's row says that it failed, and an alert does; it is no dead letter besides


def _note_attempt(outcome: Performed, kind: AttemptOutcome, result: Handover) -> None:
    DeliveryAttempt.objects.create(
        delivery_id=outcome.request.delivery,
        attempt=outcome.job.attempt,
        outcome=kind,
        status=result.status,
        message=result.message[:500],
    )


def _note_sent(outcome: Performed) -> None:
    _note_attempt(outcome, AttemptOutcome.SENT, Handover(is_sent=True))
    delivery = Delivery.objects.select_related("recipient").get(pk=outcome.request.delivery)
    Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.SENT, finished_at=Now())
    Recipient.objects.filter(pk=delivery.recipient_id).update(delivered_at=Now())
    end_alerts([("delivery.failing", f"channel:{delivery.recipient.name}")], by="", reason="a message got through")


def _give_up(delivery_id: int, result: Handover) -> None:
    """Say that a channel does not work, and tell whoever is told instead."""
    delivery = Delivery.objects.select_related("recipient__fallback", "incident").get(pk=delivery_id)
    Delivery.objects.filter(pk=delivery_id).update(state=DeliveryState.FAILED, finished_at=Now())
    Recipient.objects.filter(pk=delivery.recipient_id).update(failed_at=Now())
    name = delivery.recipient.name
    raise_alert("delivery.failing", f"channel:{name}", message=f"{name} could not be told: {result.message}"[:500])
    fallback = delivery.recipient.fallback
    if fallback is not None and fallback.is_enabled:
        reason = TellingReason(delivery.reason)
        message = Message(delivery.incident_id, reason, delivery.severity, delivery.title, delivery.body)
        tell([fallback], message, key=f"fallback:{delivery_id}", instead_of=delivery)


def send_test(recipient: Recipient, *, actor: str) -> int:
    """Send a test message to a channel; returns the delivery's id."""
    text = f"{actor} tests whether messages of Stanchion reach {recipient.name}."
    message = Message(None, TellingReason.TEST, 5, "Stanchion: a test", text)
    return tell([recipient], message, key=f"test:{uuid4().hex}")[0]


def delivery_facts(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery with its attempts as plain data."""
    fields = ("attempt", "outcome", "status", "message", "recorded_at")
    return {
        "id": delivery.pk,
        "incident": delivery.incident_id,
        "recipient": delivery.recipient.name,
        "reason": delivery.reason,
        "title": delivery.title,
        "state": delivery.state,
        "created_at": delivery.created_at,
        "finished_at": delivery.finished_at,
        "attempts": list(delivery.attempts.values(*fields)),
    }
