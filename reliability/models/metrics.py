"""What processes counted; the totals outlive the processes."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class MetricTotal(models.Model):
    """One process's count of one metric for one set of labels, written whole each time.

    ``process`` is empty for what processes counted that have ended. ``value`` is the count, or
    the sum of what was seen; ``counts`` has a histogram's buckets, not cumulated.
    """

    process = models.CharField(max_length=64, blank=True, default="")
    name = models.CharField(max_length=100)
    labels = ArrayField(models.CharField(max_length=200), default=list)
    value = models.FloatField(default=0)
    counts = ArrayField(models.BigIntegerField(), default=list)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["process", "name", "labels"], name="metrictotal_series")]

    def __str__(self) -> str:
        return f"{self.name}{self.labels}: {self.value}"
