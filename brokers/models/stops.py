"""What kill switches and freezes have in common: what they stop, who wanted their release, who released them."""

from django.db import models
from django.db.models.functions import Now

from brokers.models.accounts import Account, Broker


class Stop(models.Model):
    """One stop of trading, in force while ``released_at`` is empty."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, null=True, blank=True)
    broker = models.ForeignKey(Broker, on_delete=models.PROTECT, null=True, blank=True)
    reason = models.CharField(max_length=500)
    release_wanted_by = models.CharField(max_length=150, blank=True, default="")
    release_wanted_at = models.DateTimeField(null=True, blank=True)
    release_reason = models.CharField(max_length=500, blank=True, default="")
    released_by = models.CharField(max_length=150, blank=True, default="")
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class StopEvent(models.Model):
    """One thing that happened to a stop; append-only."""

    kind = models.CharField(max_length=32)
    actor = models.CharField(max_length=150)
    reason = models.CharField(max_length=500, blank=True, default="")
    evidence = models.JSONField(default=dict)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor}"
