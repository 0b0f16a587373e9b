"""Procedures that somebody follows: a copy of the steps, and each step written down before it runs."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

EXECUTION_STATES = ("running", "finished", "aborted")
STEP_STATES = ("planned", "running", "done", "failed", "refused")


class RunbookExecution(models.Model):
    """One time that a runbook is followed, with the version and the steps as they were when it began."""

    runbook = models.CharField(max_length=100)
    version = models.CharField(max_length=12)
    title = models.CharField(max_length=300)
    scope = models.CharField(max_length=200, blank=True, default="")
    steps = models.JSONField()
    state = models.CharField(max_length=8, choices=[(one, one) for one in EXECUTION_STATES], default="running")
    step = models.PositiveSmallIntegerField(default=0, help_text="Steps that are done.")
    incident = models.ForeignKey("reliability.Incident", on_delete=models.PROTECT, null=True, blank=True)
    started_by = models.CharField(max_length=150)
    started_at = models.DateTimeField(db_default=Now())
    step_began_at = models.DateTimeField(db_default=Now())
    ended_by = models.CharField(max_length=150, blank=True, default="")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("follow_runbook", "Can follow runbooks and run their steps")]
        indexes = [models.Index(fields=["state", "-id"], name="runbookexecution_state")]

    def __str__(self) -> str:
        return f"{self.runbook} {self.scope}".strip()


class RunbookStepRun(models.Model):
    """One try of one step: written with its inputs before it runs, then with what came of it."""

    execution = models.ForeignKey(RunbookExecution, on_delete=models.PROTECT, related_name="runs")
    number = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=8)
    action = models.CharField(max_length=64, blank=True, default="")
    key = models.CharField(max_length=64, unique=True, help_text="Names the try: the same again does nothing.")
    inputs = models.JSONField(default=dict)
    plan = models.CharField(max_length=1000, blank=True, default="", help_text="What the dry run said.")
    state = models.CharField(max_length=8, choices=[(one, one) for one in STEP_STATES])
    output = models.CharField(max_length=1000, blank=True, default="")
    actor = models.CharField(max_length=150)
    written_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["execution", "number"],
                condition=Q(state__in=["planned", "running", "done"]),
                name="runbooksteprun_once",
            )
        ]

    def __str__(self) -> str:
        return f"step {self.number}: {self.state}"
