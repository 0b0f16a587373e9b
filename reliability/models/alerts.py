"""Alerts: one row per condition and scope while it is open; repeats are counted beside it."""

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now

from reliability.core.alerts import LONGEST_SCOPE, AlertState
from reliability.core.conditions import FailureDomain
from reliability.core.taxonomy import ErrorSeverity

SEVERITIES = [(severity.rank, severity.value) for severity in ErrorSeverity]


class AlertRule(models.Model):
    """What an operator set for one condition; what is empty is as the catalogue has it."""

    condition = models.CharField(max_length=64, primary_key=True)
    severity = models.PositiveSmallIntegerField(
        null=True, blank=True, choices=SEVERITIES, help_text="Empty: as the catalogue has it."
    )
    hold_down_seconds = models.FloatField(
        null=True,
        blank=True,
        help_text="Seconds it must be over before its alert is resolved. Empty: as the catalogue.",
    )
    is_told = models.BooleanField(
        "people are told", default=True, help_text="Off: alerts are recorded and shown, and nobody is sent a message."
    )
    thresholds = models.JSONField(
        default=dict,
        db_default=Value({}, models.JSONField()),
        blank=True,
        help_text="Numbers that differ from the catalogue's, by name.",
    )
    no_data_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when it cannot be evaluated: nothing is known of it."
    )
    no_data_reason = models.CharField(max_length=200, blank=True, default="", db_default="")
    changed_by = models.CharField(max_length=150, blank=True, default="")
    changed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["condition"]
        default_permissions = ("view", "change")
        constraints = [
            models.CheckConstraint(
                condition=Q(hold_down_seconds=None) | Q(hold_down_seconds__gte=0, hold_down_seconds__lte=86400),
                name="alertrule_hold_down",
            )
        ]

    def __str__(self) -> str:
        return self.condition


class Alert(models.Model):
    """One condition met by one scope, from when it was raised until it was resolved.

    ``occurrences`` and ``last_raised_at`` are brought up to date within a second; ``clears_at`` is when it will be
    resolved unless it is raised again before.
    """

    condition = models.CharField(max_length=64)
    scope = models.CharField(max_length=LONGEST_SCOPE)
    subject = models.CharField(max_length=200, default="", help_text="What fails together with it has the same.")
    domain = models.CharField(max_length=16, choices=[(one.value, one.value) for one in FailureDomain])
    severity = models.PositiveSmallIntegerField(choices=SEVERITIES)
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in AlertState], default=AlertState.OPEN
    )
    message = models.CharField(max_length=1000)
    details = models.JSONField(default=dict, blank=True)
    correlation_id = models.CharField(max_length=64, blank=True, default="")
    occurrences = models.PositiveBigIntegerField(default=1)
    flaps = models.PositiveIntegerField(default=0, help_text="How often it came back soon after it was over.")
    incident = models.ForeignKey(
        "reliability.Incident", on_delete=models.PROTECT, null=True, blank=True, related_name="alerts"
    )
    inhibited_by = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, help_text="The alert that says why already."
    )
    silence = models.ForeignKey("reliability.Silence", on_delete=models.PROTECT, null=True, blank=True)
    drill = models.ForeignKey(
        "reliability.Incident",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="drilled_alerts",
        db_index=False,
        help_text="The drill that made it: nobody is told.",
    )
    flapped_at = models.DateTimeField(null=True, blank=True, help_text="When it last came back.")
    raised_at = models.DateTimeField(db_default=Now())
    last_raised_at = models.DateTimeField(db_default=Now())
    clears_at = models.DateTimeField(null=True, blank=True)
    clear_reason = models.CharField(max_length=500, blank=True, default="")
    no_data_since = models.DateTimeField(
        null=True, blank=True, help_text="Since when nobody can say whether it goes on; it is not over by that."
    )
    no_data_reason = models.CharField(max_length=200, blank=True, default="", db_default="")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True, default="")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True, default="", help_text="Empty: the condition was over.")
    resolved_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("acknowledge_alert", "Can acknowledge, silence and resolve alerts")]
        constraints = [
            models.UniqueConstraint(
                fields=["condition", "scope"], condition=Q(resolved_at=None), name="alert_open_once"
            ),
            models.CheckConstraint(
                condition=Q(state=AlertState.RESOLVED, resolved_at__isnull=False)
                | (~Q(state=AlertState.RESOLVED) & Q(resolved_at=None)),
                name="alert_resolved_at",
            ),
        ]
        indexes = [
            models.Index(fields=["severity", "-id"], condition=Q(resolved_at=None), name="alert_open_by_severity"),
            models.Index(fields=["subject", "condition"], condition=Q(resolved_at=None), name="alert_open_by_subject"),
            models.Index(fields=["id"], condition=Q(incident=None, resolved_at=None), name="alert_ungrouped"),
            models.Index(fields=["condition", "scope", "-resolved_at"], name="alert_history"),
            models.Index(fields=["state", "-id"], name="alert_state"),
        ]

    def __str__(self) -> str:
        return f"{self.condition} {self.scope} ({self.state})"

    @property
    def runbook_name(self) -> str:
        return f"alert:{self.condition}"

    @property
    def severity_name(self) -> str:
        return ErrorSeverity.of_rank(self.severity).value


class AlertOccurrence(models.Model):
    """One more time that an open alert was raised; rolled up into its alert within a second, then gone."""

    alert_id = models.BigIntegerField()
    message = models.CharField(max_length=1000)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"alert {self.alert_id} at {self.at}"
