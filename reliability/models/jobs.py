"""The durable unit of work, its failed attempts, and the lanes it runs in."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Func, Q, Value
from django.db.models.functions import Coalesce, Now

from reliability.core.jobs import AttemptOutcome, JobState


class Lane(models.Model):
    """A queue of jobs with its own share of every worker that serves it."""

    name = models.CharField(max_length=32, primary_key=True)
    concurrency = models.PositiveSmallIntegerField(
        default=200, help_text="Calls under way at once in one pool process."
    )
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=150, blank=True, default="")
    paused_reason = models.CharField(max_length=500, blank=True, default="")

    def __str__(self) -> str:
        return self.name


class Job(models.Model):
    """What must happen, committed before anybody is told that it will.

    ``attempt`` is counted before an attempt runs, ``fence`` grows with every claim, and a
    job that used up its attempts is a dead letter: the same row in state ``dead``.
    """

    kind = models.CharField(max_length=64)
    lane = models.CharField(max_length=32)
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in JobState], default=JobState.READY
    )
    priority = models.SmallIntegerField(default=100, help_text="Lower runs first.")
    subject = models.UUIDField(null=True, blank=True, help_text="What the job is about, for example an order.")
    payload = models.JSONField(default=dict, blank=True)
    unique_key = models.CharField(
        max_length=200, null=True, blank=True, help_text="At most one unfinished job may carry it."
    )
    run_at = models.DateTimeField(db_default=Now())
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=6)
    snoozes = models.PositiveIntegerField(default=0)
    crashes = models.PositiveSmallIntegerField(default=0, help_text="Times its process died while it ran.")
    fence = models.BigIntegerField(default=0)
    worker = models.IntegerField(null=True, blank=True, help_text="Pulse number of the process that runs it.")
    lease_until = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    correlation_id = models.CharField(max_length=64, blank=True, default="")
    trace_context = models.CharField(
        max_length=55,
        blank=True,
        db_default=Coalesce(Func(Value("stanchion.trace"), Value(True), function="current_setting"), Value("")),
        help_text="The span of whoever enqueued it, as W3C writes a traceparent; blank while traces are off.",
    )
    waits_for = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="The circuit it waits for."
    )
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.CharField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["lane", "priority", "run_at"], condition=Q(state="ready"), name="job_due"),
            models.Index(
                fields=["lane", "priority", "run_at"], condition=Q(state="ready", crashes__gte=2), name="job_suspects"
            ),
            models.Index(
                fields=["waits_for", "priority", "id"],
                condition=Q(state="ready") & ~Q(waits_for=""),
                name="job_waiting",
            ),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="job_running"),
            models.Index(fields=["-finished_at"], condition=Q(state="dead"), name="job_dead"),
            models.Index(fields=["subject"], condition=Q(state="dead"), name="job_subject"),
            # Jobs end in about the order in which they lie: some kilobytes tell upkeep where the old ones are.
            BrinIndex(fields=["finished_at"], pages_per_range=32, autosummarize=True, name="job_finished"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["unique_key"],
                condition=Q(state__in=["ready", "running"], unique_key__isnull=False),
                name="job_unique_key",
            )
        ]
        permissions = [("operate_deadletter", "Can replay and discard dead letters"), ("pause_lane", "Can pause lanes")]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class DeadLetter(Job):
    """The jobs that a person must decide on, as admin shows them."""

    class Meta:
        proxy = True
        verbose_name = "dead letter"
        default_permissions = ()


class JobAttempt(models.Model):
    """One attempt that did not simply succeed; append-only."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="attempts", db_index=True)
    attempt = models.PositiveSmallIntegerField()
    fence = models.BigIntegerField()
    worker = models.IntegerField(null=True)
    outcome = models.CharField(max_length=16, choices=[(outcome.value, outcome.value) for outcome in AttemptOutcome])
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.CharField(max_length=1000, blank=True, default="")
    detail = models.JSONField(default=dict)
    actor = models.CharField(max_length=150, blank=True, default="")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"attempt {self.attempt} of job {self.job_id}: {self.outcome}"
