"""What happened to alerts, incidents and all that people handle, in order; append-only."""

from django.db import models
from django.db.models.functions import Now


class TimelineEntry(models.Model):
    """One change of one thing: who, from, to, why. ``id`` is its number in the sequence of all events."""

    subject_kind = models.CharField(max_length=24)
    subject_id = models.BigIntegerField()
    kind = models.CharField(max_length=32)
    from_state = models.CharField(max_length=16, blank=True, default="")
    to_state = models.CharField(max_length=16, blank=True, default="")
    actor = models.CharField(max_length=150, blank=True, default="", help_text="Empty: the program itself.")
    reason = models.CharField(max_length=1000, blank=True, default="")
    detail = models.JSONField(default=dict)
    correlation_id = models.CharField(max_length=64, blank=True, default="")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)
        verbose_name_plural = "timeline entries"
        indexes = [models.Index(fields=["subject_kind", "subject_id", "id"], name="timeline_subject")]

    def __str__(self) -> str:
        return f"{self.subject_kind} {self.subject_id}: {self.kind}"
