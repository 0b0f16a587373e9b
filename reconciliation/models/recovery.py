"""Recovery runs, what started them, and what the watch last saw."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reconciliation.core.recovery import RecoveryState, TriggerKind
from reconciliation.models.runs import choices


class RecoveryRun(models.Model):
    """One recovery of one account; its steps are those of the saga it names.

    ``generation`` counts the runs of the account, a newer one voids older ones. ``stream_generation`` is that of the
    order stream it rests on. ``disrupted_at`` is since when something was wrong, as far as anybody noticed.
    """

    account = models.ForeignKey("brokers.Account", on_delete=models.PROTECT, db_index=False)
    generation = models.PositiveIntegerField()
    saga_id = models.UUIDField(unique=True)
    state = models.CharField(max_length=16, choices=choices(RecoveryState), default=RecoveryState.RUNNING)
    trigger = models.CharField(max_length=32, choices=choices(TriggerKind))
    requested_by = models.CharField(max_length=150)
    freezes_trading = models.BooleanField(default=False)
    stream_generation = models.BigIntegerField(null=True)
    memo = models.JSONField(default=dict, help_text="What its steps remember from one look to the next.")
    differing = models.JSONField(default=dict)
    findings = models.JSONField(default=list)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.CharField(max_length=1000, blank=True, default="")
    disrupted_at = models.DateTimeField()
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["-started_at"], name="recoveryrun_started")]
        constraints = [
            models.UniqueConstraint(fields=["account", "generation"], name="recoveryrun_generation"),
            models.UniqueConstraint(
                fields=["account"], condition=Q(state=RecoveryState.RUNNING), name="recoveryrun_one_running"
            ),
        ]
        default_permissions = ("view",)
        permissions = [("run_recovery", "Can have accounts recovered")]

    def __str__(self) -> str:
        return f"recovery {self.pk} ({self.state})"


class RecoveryTrigger(models.Model):
    """One reason to recover an account, noticed once; without a run it waits for one to end."""

    account = models.ForeignKey("brokers.Account", on_delete=models.PROTECT, db_index=False)
    kind = models.CharField(max_length=32, choices=choices(TriggerKind))
    key = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True, default="")
    noticed_by = models.CharField(max_length=150)
    since = models.DateTimeField()
    noticed_at = models.DateTimeField(db_default=Now())
    run = models.ForeignKey(RecoveryRun, on_delete=models.PROTECT, null=True, related_name="triggers")

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["account", "key"], name="recoverytrigger_once")]
        indexes = [models.Index(fields=["account"], condition=Q(run=None), name="recoverytrigger_waiting")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Watchtower(models.Model):
    """What the watch saw when it last looked: one row, so that whoever leads next can tell what changed since."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seen_at = models.DateTimeField()
    database_started_at = models.DateTimeField()
    boot_id = models.CharField(max_length=64)
    memory_token = models.CharField(max_length=64, blank=True, default="")
    memory_away = models.BooleanField(default=False)
    watcher = models.CharField(max_length=64, blank=True, default="", help_text="The process that looked.")
    circuit_id = models.BigIntegerField(default=0, help_text="The last change of a circuit that was looked at.")
    attempt_id = models.BigIntegerField(default=0, help_text="The last lost attempt that was looked at.")

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"as of {self.seen_at:%H:%M:%S}"
