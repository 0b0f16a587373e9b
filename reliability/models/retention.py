"""How long rows are kept, what must not go, and what went."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class RetentionPolicy(models.Model):
    """One kind of rows: for how long it is kept, and how its upkeep last went."""

    kind = models.CharField(max_length=32, primary_key=True)
    description = models.CharField(max_length=200)
    keep_days = models.PositiveIntegerField(null=True, blank=True, help_text="Blank keeps everything for good.")
    is_exported = models.BooleanField(default=True, help_text="Written to a file, and checked, before it is dropped.")
    created_at = models.DateTimeField(db_default=Now())
    last_run_at = models.DateTimeField(null=True, blank=True, help_text="When its upkeep last ran to its end.")
    last_error = models.CharField(max_length=500, blank=True, default="")
    due = models.PositiveIntegerField(default=0, help_text="Pieces that were due and are still there.")
    held = models.PositiveIntegerField(default=0, help_text="Pieces that a legal hold keeps.")

    class Meta:
        ordering = ["kind"]
        verbose_name_plural = "retention policies"
        default_permissions = ("view", "change")
        constraints = [
            models.CheckConstraint(condition=Q(keep_days=None) | Q(keep_days__gte=1), name="retention_at_least_a_day")
        ]

    def __str__(self) -> str:
        return self.kind


class LegalHold(models.Model):
    """Rows of a time that must not go, whatever their policy says, until somebody releases them."""

    kind = models.CharField(max_length=32, blank=True, default="", help_text="Empty: every kind.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: everything from its start on.")
    reason = models.CharField(max_length=500)
    placed_by = models.CharField(max_length=150)
    placed_at = models.DateTimeField(db_default=Now())
    released_by = models.CharField(max_length=150, blank=True, default="")
    released_at = models.DateTimeField(null=True, blank=True)
    released_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [
            ("place_legal_hold", "Can place legal holds"),
            ("release_legal_hold", "Can release legal holds that another person placed"),
        ]
        indexes = [models.Index(fields=["kind"], condition=Q(released_at=None), name="legalhold_in_force")]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")), name="legalhold_times")
        ]

    def __str__(self) -> str:
        return f"hold {self.pk} on {self.kind or 'everything'}"


class RetentionDrop(models.Model):
    """One piece that went: what it was, how many rows, and the file that has them; append-only."""

    kind = models.CharField(max_length=32)
    piece = models.CharField(max_length=100)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    rows = models.PositiveBigIntegerField()
    exported_to = models.CharField(max_length=500, blank=True, default="", help_text="Empty: not exported.")
    sha256 = models.CharField(max_length=64, blank=True, default="")
    seconds = models.FloatField(help_text="Time the drop itself took, without the export.")
    actor = models.CharField(max_length=150)
    dropped_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.kind} {self.piece}"
