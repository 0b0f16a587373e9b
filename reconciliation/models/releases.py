"""What consumers were given, in order: the log behind ``GET /api/v1/bars`` and the Redis stream."""

from django.db import models
from django.db.models.functions import Now

from reconciliation.models.bars import BarSeries


class BarRelease(models.Model):
    """One version of one bar given to consumers; append-only. ``seq`` grows in the order of commits.

    The bars of a series come in the order of time, whatever the order of arrival; a revision, and what comes after
    a gap was given up, is later in ``seq`` and earlier in time.
    """

    seq = models.BigAutoField(primary_key=True)
    series = models.ForeignKey(BarSeries, on_delete=models.PROTECT, db_constraint=False, db_index=False)
    opened_at = models.DateTimeField()
    revision = models.PositiveSmallIntegerField(default=1)
    announced = models.BooleanField(default=True, help_text="Whether the Redis stream carries it; imports are not.")
    released_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["series", "opened_at", "revision"], name="barrelease_once")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"release {self.seq}"


class ReleaseCursor(models.Model):
    """How far a consumer of ours has read the releases, for example the Redis stream."""

    name = models.CharField(max_length=32, primary_key=True)
    seq = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} at {self.seq}"
