"""Errors: each as it was met, what makes them one kind, and what people made of the kind."""

from django.conf import settings
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now

from reliability.core.error_groups import GroupState
from reliability.core.taxonomy import ErrorCategory, ErrorSeverity

_SEVERITIES = [(severity.rank, severity.value) for severity in ErrorSeverity]
_CATEGORIES = [(category.value, category.value) for category in ErrorCategory]


class ErrorEvent(models.Model):
    """One error; append-only, in partitions of a day. Of a flood a sample is kept; counts are exact elsewhere."""

    fingerprint = models.CharField(max_length=32)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now())
    source = models.CharField(max_length=64)
    operation = models.CharField(max_length=64, blank=True, default="")
    code = models.CharField(max_length=64)
    category = models.CharField(max_length=16, choices=_CATEGORIES)
    severity = models.PositiveSmallIntegerField(choices=_SEVERITIES)
    kind = models.CharField(max_length=200, blank=True, default="")
    place = models.CharField(max_length=200, blank=True, default="")
    message = models.CharField(max_length=1000, blank=True, default="")
    correlation_id = models.CharField(max_length=64, blank=True, default="")
    subject = models.CharField(max_length=64, blank=True, default="", help_text="The order or job it is about.")
    details = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.code} {self.source} {self.operation}"


class ErrorTally(models.Model):
    """How often a kind of error was met since the last time; rolled up into its group within a second, then gone."""

    fingerprint = models.CharField(max_length=32)
    former = models.JSONField(default=list)
    facts = models.JSONField(default=dict)
    number = models.PositiveBigIntegerField()
    stored = models.PositiveBigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.fingerprint}: {self.number}"


class ErrorGroup(models.Model):
    """All errors of one kind: how many, since when, and what somebody decided about them."""

    title = models.CharField(max_length=300)
    code = models.CharField(max_length=64)
    category = models.CharField(max_length=16, choices=_CATEGORIES)
    severity = models.PositiveSmallIntegerField(choices=_SEVERITIES)
    source = models.CharField(max_length=64)
    operation = models.CharField(max_length=64, blank=True, default="")
    kind = models.CharField(max_length=200, blank=True, default="")
    place = models.CharField(max_length=200, blank=True, default="")
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in GroupState], default=GroupState.OPEN
    )
    count = models.PositiveBigIntegerField(default=0)
    stored = models.PositiveBigIntegerField(default=0, help_text="How many of them have an event of their own.")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    regressions = models.PositiveIntegerField(default=0)
    snoozed_until = models.DateTimeField(null=True, blank=True)
    snoozed_count = models.PositiveBigIntegerField(null=True, blank=True, help_text="Snoozed until its count is above.")
    decided_by = models.CharField(max_length=150, blank=True, default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_reason = models.CharField(max_length=500, blank=True, default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, help_text="Whose it is to mend."
    )
    resolved_in = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="The release that mends it; next: the one after. Errors of older ones are no regression.",
    )
    snoozed_times = models.PositiveIntegerField(null=True, blank=True, help_text="Snoozed until so many of it come")
    snoozed_window_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="within so many seconds.")
    snoozed_recent = models.JSONField(default=list, db_default=Value([], models.JSONField()), editable=False)
    merged_into = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="merged")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("decide_errorgroup", "Can resolve, snooze, reopen and merge groups of errors")]
        indexes = [
            models.Index(fields=["state", "-last_seen_at"], name="errorgroup_state"),
            models.Index(fields=["-last_seen_at"], name="errorgroup_latest"),
            models.Index(fields=["code", "-last_seen_at"], name="errorgroup_code"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state=GroupState.MERGED, merged_into__isnull=False)
                | (~Q(state=GroupState.MERGED) & Q(merged_into=None)),
                name="errorgroup_merged",
            )
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.source} {self.operation}".strip()


class ErrorFingerprint(models.Model):
    """Which group a fingerprint belongs to: many to one, so that groups can be merged and versions can change."""

    fingerprint = models.CharField(max_length=32, primary_key=True)
    version = models.PositiveSmallIntegerField()
    group = models.ForeignKey(ErrorGroup, on_delete=models.PROTECT, related_name="fingerprints")

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.fingerprint


class ErrorRollup(models.Model):
    """Exact counts of errors per minute, written by the roll-up alone."""

    minute = models.DateTimeField()
    source = models.CharField(max_length=64)
    operation = models.CharField(max_length=64)
    category = models.CharField(max_length=16, choices=_CATEGORIES)
    code = models.CharField(max_length=64)
    errors = models.PositiveBigIntegerField()

    class Meta:
        ordering = ["-minute"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "source", "operation", "category", "code"], name="errorrollup_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.minute}: {self.errors} {self.code}"
