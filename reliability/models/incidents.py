"""Incidents: what belongs together, from noticed to closed, with all that a report needs."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reliability.core.conditions import FailureDomain
from reliability.core.incidents import UNRESOLVED, IncidentKind, IncidentState
from reliability.core.taxonomy import ErrorSeverity

_SEVERITIES = [(severity.rank, severity.value) for severity in ErrorSeverity]


class Incident(models.Model):
    """Alerts of one failure domain and one subject; its severity is its worst alert's unless somebody set it."""

    kind = models.CharField(
        max_length=8, choices=[(kind.value, kind.value) for kind in IncidentKind], default=IncidentKind.REAL
    )
    domain = models.CharField(max_length=16, choices=[(one.value, one.value) for one in FailureDomain])
    subject = models.CharField(max_length=200)
    title = models.CharField(max_length=300)
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in IncidentState], default=IncidentState.OPEN
    )
    severity = models.PositiveSmallIntegerField(choices=_SEVERITIES)
    severity_is_set = models.BooleanField(default=False, help_text="Somebody set it, with a reason in the timeline.")
    detected_at = models.DateTimeField(help_text="When the first alert was raised.")
    changed_at = models.DateTimeField(db_default=Now(), help_text="Last alert that joined or ended.")
    aware_at = models.DateTimeField(null=True, blank=True, help_text="When a person first knew.")
    classified_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True, default="")
    mitigated_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=150, blank=True, default="")
    reopened = models.PositiveIntegerField(default=0)
    # What a review and a regulator ask for.
    root_cause = models.TextField(blank=True, default="", max_length=5000)
    impact = models.TextField(blank=True, default="", max_length=5000)
    lessons = models.TextField(blank=True, default="", max_length=5000)
    follow_up = models.TextField(blank=True, default="", max_length=5000)
    discovery = models.CharField(max_length=64, blank=True, default="alert", help_text="How it was discovered.")
    is_major = models.BooleanField(
        null=True, blank=True, help_text="Whether it must be reported; empty: not classified."
    )
    reference = models.CharField(max_length=64, blank=True, default="", help_text="The regulator's reference.")
    reported_at = models.DateTimeField(null=True, blank=True)
    cost = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    is_recurring = models.BooleanField(default=False)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [
            ("operate_incident", "Can acknowledge, mitigate and close incidents"),
            ("review_incident", "Can write reviews and the regulatory record of incidents"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "domain", "subject"],
                condition=Q(state__in=[state.value for state in UNRESOLVED]),
                name="incident_open_once",
            )
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="incident_state"),
            models.Index(fields=["severity", "-id"], name="incident_severity"),
            models.Index(fields=["domain", "subject", "-id"], name="incident_subject"),
            models.Index(fields=["-detected_at"], name="incident_detected"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        return f"INC-{self.pk}"

    @property
    def severity_name(self) -> str:
        return ErrorSeverity.of_rank(self.severity).value
