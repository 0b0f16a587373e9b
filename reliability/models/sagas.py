"""Sagas: chains of steps that are all carried out, or taken back."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reliability.core.saga import CompensationState, SagaState, StepOrder, StepState


class Saga(models.Model):
    """One chain of steps. Its rows alone decide what is next, so that any process goes on where another died."""

    id = models.UUIDField(primary_key=True, editable=False)
    kind = models.CharField(max_length=48)
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in SagaState], default=SagaState.RUNNING
    )
    step_order = models.CharField(
        max_length=12, choices=[(order.value, order.value) for order in StepOrder], default=StepOrder.SEQUENTIAL
    )
    payload = models.JSONField(default=dict, blank=True)
    correlation_id = models.CharField(max_length=64, blank=True, default="")
    version = models.PositiveIntegerField(default=0, help_text="Number of its events.")
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.CharField(max_length=1000, blank=True, default="")
    deadline_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["kind", "id"], condition=Q(finished_at=None), name="saga_unfinished"),
        ]
        default_permissions = ("view",)
        permissions = [("operate_saga", "Can cancel, resume and close sagas")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} ({self.state})"


class SagaStep(models.Model):
    """One step of a saga and its compensation; ``undo_round`` counts how often taking it back was begun."""

    saga = models.ForeignKey(Saga, on_delete=models.PROTECT, related_name="steps")
    number = models.PositiveSmallIntegerField()
    action = models.CharField(max_length=48)
    payload = models.JSONField(default=dict, blank=True)
    state = models.CharField(
        max_length=12, choices=[(state.value, state.value) for state in StepState], default=StepState.PENDING
    )
    attempts = models.PositiveIntegerField(default=0)
    result = models.JSONField(default=dict, blank=True)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.CharField(max_length=1000, blank=True, default="")
    compensation = models.CharField(
        max_length=12,
        choices=[(state.value, state.value) for state in CompensationState],
        default=CompensationState.NONE,
    )
    undo_round = models.PositiveSmallIntegerField(default=0)
    compensation_result = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["saga_id", "number"]
        constraints = [models.UniqueConstraint(fields=["saga", "number"], name="sagastep_number")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"step {self.number} {self.action} ({self.state})"


class SagaEvent(models.Model):
    """One change of a saga or of one of its steps; append-only, numbered without gaps by the saga's version."""

    saga = models.ForeignKey(Saga, on_delete=models.PROTECT, related_name="events", db_index=False)
    sequence = models.PositiveIntegerField()
    kind = models.CharField(max_length=32)
    step = models.PositiveSmallIntegerField(null=True)
    from_state = models.CharField(max_length=16, blank=True, default="")
    to_state = models.CharField(max_length=16, blank=True, default="")
    actor = models.CharField(max_length=150, blank=True, default="")
    detail = models.JSONField(default=dict)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["saga_id", "sequence"]
        constraints = [models.UniqueConstraint(fields=["saga", "sequence"], name="sagaevent_sequence")]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind}: {self.from_state} -> {self.to_state}"
