"""Gaps in market data, and the append-only history of each."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from reconciliation.core.gaps import OPEN_STATES, GapCause, GapState
from reconciliation.models.bars import BarSeries


class Gap(models.Model):
    """A run of expected bars that are missing: ``started_at`` and ``ended_at`` are the first and the last of them.

    Gaps of one cause that are not over never overlap; a missing run and a bar to be asked for again may, briefly.
    """

    series = models.ForeignKey(BarSeries, on_delete=models.PROTECT, db_index=False)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    missing = models.PositiveIntegerField()
    state = models.CharField(
        max_length=16, choices=[(one.value, one.value) for one in GapState], default=GapState.FOUND
    )
    cause = models.CharField(max_length=16, choices=[(one.value, one.value) for one in GapCause])
    reason = models.CharField(max_length=500, blank=True, default="")
    asked = models.JSONField(default=list, blank=True, help_text="Sources that were asked for all of it and lack it.")
    found_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["series", "started_at"], condition=Q(state__in=list(OPEN_STATES)), name="gap_not_over"
            ),
            models.Index(fields=["state", "-id"], name="gap_state"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(ended_at__gte=F("started_at")), name="gap_in_order"),
            models.CheckConstraint(condition=Q(missing__gte=1), name="gap_not_empty"),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"gap {self.pk}: {self.missing} bars of series {self.series_id} from {self.started_at}"


class GapEvent(models.Model):
    """One change of a gap; append-only."""

    gap = models.ForeignKey(Gap, on_delete=models.PROTECT, related_name="events")
    from_state = models.CharField(max_length=16, blank=True, default="")
    to_state = models.CharField(max_length=16)
    what = models.CharField(max_length=32, help_text="found, resized, split, merged, filling, filled, decided")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    missing = models.PositiveIntegerField()
    detail = models.JSONField(default=dict)
    actor = models.CharField(max_length=150, blank=True, default="")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.what} of gap {self.gap_id}"
