"""Who is told, by which way, and what became of each message."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reliability.core.escalation import EscalationState, TellingReason
from reliability.core.taxonomy import ErrorSeverity
from reliability.models.incidents import Incident

_SEVERITIES = [(severity.rank, severity.value) for severity in ErrorSeverity]


class Recipient(models.Model):
    """A person's or a team's channel. Its address may hold a password, so it is kept encrypted."""

    name = models.CharField(max_length=64, unique=True)
    address = models.BinaryField(help_text="An Apprise URL, encrypted.")
    shown_address = models.CharField(max_length=200, blank=True, default="", help_text="Without what is secret in it.")
    username = models.CharField(
        max_length=150, blank=True, default="", help_text="Whose channel it is, to remind them."
    )
    is_enabled = models.BooleanField(default=True)
    fallback = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, help_text="Told instead when this channel fails."
    )
    delivered_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        default_permissions = ("view", "add", "change")

    def __str__(self) -> str:
        return self.name


class Rota(models.Model):
    """Who is on call when; several at once are told in order."""

    name = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["name"]
        default_permissions = ("view", "add", "change")

    def __str__(self) -> str:
        return self.name


class RotaShift(models.Model):
    """One person's hours, in UTC; a start after its end spans midnight, equal ones the whole day."""

    rota = models.ForeignKey(Rota, on_delete=models.CASCADE, related_name="shifts")
    recipient = models.ForeignKey(Recipient, on_delete=models.PROTECT)
    place = models.PositiveSmallIntegerField(default=1, help_text="Order in which people are told.")
    weekdays = models.CharField(max_length=7, default="0123456", help_text="Digits, 0 is Monday.")
    start = models.TimeField(default="00:00")
    end = models.TimeField(default="00:00")

    class Meta:
        ordering = ["rota_id", "place", "id"]
        default_permissions = ("view", "add", "change", "delete")
        constraints = [models.CheckConstraint(condition=Q(weekdays__regex="^[0-6]+$"), name="rotashift_weekdays")]

    def __str__(self) -> str:
        return f"{self.recipient} {self.start:%H:%M}-{self.end:%H:%M}"


class EscalationPolicy(models.Model):
    """Steps for incidents at least this bad, of these domains; the first that fits in order is taken."""

    name = models.CharField(max_length=64, unique=True)
    place = models.PositiveSmallIntegerField(default=100, help_text="Lower is looked at first.")
    is_enabled = models.BooleanField(default=True)
    domains = models.CharField(max_length=200, blank=True, default="", help_text="Comma separated; empty: all.")
    least_severity = models.PositiveSmallIntegerField(choices=_SEVERITIES, default=ErrorSeverity.MEDIUM.rank)
    steps = models.JSONField(help_text='[{"wait_seconds": 0, "rotas": ["desk"], "people": []}, ...]')
    rounds = models.PositiveSmallIntegerField(default=2, help_text="How often the steps are gone through, 1 to 5.")

    class Meta:
        ordering = ["place", "id"]
        default_permissions = ("view", "add", "change")
        verbose_name_plural = "escalation policies"
        constraints = [
            models.CheckConstraint(condition=Q(rounds__gte=1, rounds__lte=5), name="escalationpolicy_rounds")
        ]

    def __str__(self) -> str:
        return self.name


class Escalation(models.Model):
    """The telling of one incident: a copy of the policy as it was, where it stands, and when it goes on.

    ``fence`` grows whenever a person or the program changes its course; a step that was decided under an older
    fence is not carried out.
    """

    incident = models.OneToOneField(Incident, on_delete=models.PROTECT, related_name="escalation")
    policy = models.CharField(max_length=64)
    steps = models.JSONField()
    rounds = models.PositiveSmallIntegerField()
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in EscalationState], default=EscalationState.PAGING
    )
    step = models.PositiveSmallIntegerField(default=0, help_text="Steps carried out in this round.")
    round = models.PositiveSmallIntegerField(default=1)
    fence = models.PositiveIntegerField(default=0)
    next_step_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    told_alerts = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["next_step_at"], condition=Q(next_step_at__isnull=False), name="escalation_due")
        ]

    def __str__(self) -> str:
        return f"{self.policy} for {self.incident_id}: {self.state}"


class DeliveryState:
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    WITHHELD = "withheld"
    ALL = (WAITING, SENT, FAILED, WITHHELD)


class Delivery(models.Model):
    """One message to one recipient, rendered once; its attempts are below it."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, null=True, related_name="deliveries")
    recipient = models.ForeignKey(Recipient, on_delete=models.PROTECT, related_name="deliveries")
    reason = models.CharField(max_length=16, choices=[(one.value, one.value) for one in TellingReason])
    key = models.CharField(max_length=100, help_text="What makes it one message: never sent twice for one cause.")
    title = models.CharField(max_length=200)
    body = models.TextField()
    severity = models.PositiveSmallIntegerField(choices=_SEVERITIES)
    state = models.CharField(
        max_length=8, choices=[(one, one) for one in DeliveryState.ALL], default=DeliveryState.WAITING
    )
    instead_of = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["key", "recipient"], name="delivery_once")]
        indexes = [models.Index(fields=["state", "-id"], name="delivery_state")]

    def __str__(self) -> str:
        return f"{self.reason} to {self.recipient}: {self.title}"


class DeliveryAttempt(models.Model):
    """One try to hand a message over; append-only."""

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="attempts")
    attempt = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=16)
    status = models.PositiveSmallIntegerField(null=True)
    message = models.CharField(max_length=500, blank=True, default="")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"attempt {self.attempt}: {self.outcome}"


class Silence(models.Model):
    """A time in which nobody is told of certain alerts: always with an author, a reason and an end."""

    condition = models.CharField(max_length=64, blank=True, default="", help_text="Empty: every condition.")
    scope = models.CharField(max_length=200, blank=True, default="", help_text="Scopes that begin so; empty: all.")
    reason = models.CharField(max_length=500)
    author = models.CharField(max_length=150)
    confirmed_by = models.CharField(
        max_length=150, blank=True, default="", help_text="Second person; without one it spares what is always told."
    )
    starts_at = models.DateTimeField(db_default=Now())
    ends_at = models.DateTimeField()
    ended_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["ends_at"], name="silence_end")]

    def __str__(self) -> str:
        return f"{self.condition or 'everything'} {self.scope} until {self.ends_at:%Y-%m-%d %H:%M}Z"
