"""Who changed what, why, and when; append-only."""

from django.db import models
from django.db.models.functions import Now


class AuditEntry(models.Model):
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=64)
    subject = models.CharField(max_length=200)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.CharField(max_length=1000, blank=True, default="")
    correlation_id = models.CharField(max_length=64, blank=True, default="")
    recorded_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"
