"""Which processes live, and since when."""

from django.db import models
from django.db.models.functions import Now


class Heartbeat(models.Model):
    """One process: alive while its advisory lock (the pulse) is held, silent when ``beat_at`` is old."""

    pulse = models.IntegerField(primary_key=True)
    kind = models.CharField(max_length=32)
    name = models.CharField(max_length=100)
    host = models.CharField(max_length=100)
    pid = models.IntegerField()
    detail = models.JSONField(default=dict)
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        default_permissions = ("view",)
        indexes = [models.Index(fields=["ended_at"], name="heartbeat_ended")]

    def __str__(self) -> str:
        return f"{self.name} ({self.host}:{self.pid})"
