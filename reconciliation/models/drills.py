"""Recovery drills: a fault is made at a simulated broker, and the installation is watched while it recovers."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

DRILL_STATES = ("running", "passed", "failed")


class Drill(models.Model):
    """One drill, from the fault to the verdict. It is also an incident of kind drill."""

    account = models.ForeignKey("brokers.Account", on_delete=models.PROTECT)
    fault = models.CharField(max_length=32)
    state = models.CharField(max_length=8, choices=[(one, one) for one in DRILL_STATES], default="running")
    incident = models.BigIntegerField()
    requested_by = models.CharField(max_length=150)
    started_at = models.DateTimeField(db_default=Now())
    injected_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True, help_text="From the fault to the end of the recovery.")
    recovery_run = models.BigIntegerField(null=True, blank=True)
    verdict = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("run_drill", "Can run recovery drills")]
        indexes = [models.Index(fields=["account", "-injected_at"], name="drill_injected")]
        constraints = [
            models.UniqueConstraint(fields=["account"], condition=Q(state="running"), name="drill_one_at_a_time")
        ]

    def __str__(self) -> str:
        return f"{self.fault} on {self.account_id}: {self.state}"
