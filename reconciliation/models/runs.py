"""Reconciliation runs and what they found."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reconciliation.core.discrepancy import UNSETTLED, DiscrepancyKind, DiscrepancyState, SubjectType
from reconciliation.core.resolution import Resolution
from reconciliation.core.runs import RunKind, RunState, RunStep


def choices(kind: type) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ")) for member in kind]  # type: ignore[attr-defined]


class ReconciliationRun(models.Model):
    """One comparison of an account's records with what its broker reports, from the request to the verdict."""

    account = models.ForeignKey("brokers.Account", on_delete=models.PROTECT, db_index=False)
    kind = models.CharField(max_length=16, choices=choices(RunKind))
    trigger = models.CharField(max_length=32)
    requested_by = models.CharField(max_length=150)
    state = models.CharField(max_length=16, choices=choices(RunState), default=RunState.QUEUED)
    step = models.CharField(max_length=16, choices=choices(RunStep), default=RunStep.ORDERS)
    token = models.CharField(max_length=200, blank=True, default="")
    requested_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)
    progress_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    looks = models.PositiveSmallIntegerField(default=0)
    calls = models.PositiveIntegerField(default=0)
    orders_reported = models.PositiveIntegerField(default=0)
    fills_reported = models.PositiveIntegerField(default=0)
    positions_reported = models.PositiveIntegerField(default=0)
    orders_recorded = models.PositiveIntegerField(default=0)
    suspected = models.PositiveIntegerField(default=0)
    found = models.PositiveIntegerField(default=0)
    resolved = models.PositiveIntegerField(default=0)
    remaining = models.PositiveIntegerField(default=0)
    marks = models.JSONField(default=dict)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind"], condition=Q(state=RunState.QUEUED), name="reconciliationrun_one_waiting"
            )
        ]
        indexes = [models.Index(fields=["account", "-id"], name="reconciliationrun_account")]
        default_permissions = ("view",)
        permissions = [("run_reconciliation", "Can have accounts reconciled")]

    def __str__(self) -> str:
        return f"{self.kind} run {self.pk} ({self.state})"

    @property
    def hand_changes(self) -> dict[str, str]:
        """Tables of the record that were changed by hand since the mark, and how: such a run goes through all of it."""
        found: dict[str, str] = self.marks.get("hand_changes", {})
        return found

    @property
    def reads_all(self) -> bool:
        """Whether it reads executions from the beginning and adds up every order."""
        return self.kind == RunKind.FULL or bool(self.hand_changes)


class ReconciliationMark(models.Model):
    """Up to where an account's records were last found to be the broker's: incremental runs go on from here.

    ``cash_confirmed``: a later look agreed with the cash that counting began with.
    """

    account = models.OneToOneField("brokers.Account", on_delete=models.CASCADE, primary_key=True)
    fill_cursor = models.CharField(max_length=200, blank=True, default="")
    fill_id = models.BigIntegerField(default=0)
    position_event_id = models.BigIntegerField(default=0)
    cash = models.DecimalField(max_digits=30, decimal_places=12, null=True)
    cash_fill_id = models.BigIntegerField(default=0)
    cash_entry_id = models.BigIntegerField(default=0)
    cash_fee_id = models.BigIntegerField(default=0, db_default=0)
    cash_confirmed = models.BooleanField(default=False, db_default=False)
    clean_at = models.DateTimeField(null=True)
    full_at = models.DateTimeField(null=True)
    row_counts = models.JSONField(default=dict, db_default={})
    cash_movements = models.JSONField(default=dict, db_default={})

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"mark of {self.account_id}"


class Discrepancy(models.Model):
    """One difference: both sides as they were seen, how often, and what became of it."""

    account = models.ForeignKey("brokers.Account", on_delete=models.PROTECT, db_index=False)
    run = models.ForeignKey(ReconciliationRun, on_delete=models.PROTECT, related_name="discrepancies")
    last_run = models.ForeignKey(ReconciliationRun, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=16, choices=choices(DiscrepancyKind))
    subject_type = models.CharField(max_length=16, choices=choices(SubjectType))
    subject = models.CharField(max_length=128)
    symbol = models.CharField(max_length=32, blank=True, default="")
    order_id = models.UUIDField(null=True)
    recorded = models.JSONField(default=dict)
    reported = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    is_in_flight = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=choices(DiscrepancyState))
    resolution = models.CharField(max_length=16, choices=choices(Resolution), blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    looks = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "discrepancies"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "subject_type", "subject"],
                condition=Q(state__in=UNSETTLED),
                name="discrepancy_one_unsettled",
            )
        ]
        indexes = [
            models.Index(fields=["account", "subject_type", "subject"], name="discrepancy_subject"),
        ]
        default_permissions = ("view",)
        permissions = [("resolve_discrepancy", "Can decide on discrepancies")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subject_type} {self.subject[:12]} ({self.state})"
