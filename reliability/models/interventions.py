"""What waits for a person, and what was decided."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from reliability.core.interventions import UNDECIDED, InterventionState, Proposal


class Intervention(models.Model):
    """One question to a person: evidence, choices with their effects, a due time; at most one open per subject."""

    kind = models.CharField(max_length=48)
    subject = models.CharField(max_length=200)
    title = models.CharField(max_length=300)
    evidence = models.JSONField(default=dict, blank=True)
    choices = models.JSONField(default=list)
    state = models.CharField(
        max_length=16,
        choices=[(state.value, state.value) for state in InterventionState],
        default=InterventionState.OPEN,
    )
    due_at = models.DateTimeField()
    is_overdue = models.BooleanField(default=False, help_text="People were told that it is late.")
    created_at = models.DateTimeField(db_default=Now())
    acknowledged_by = models.CharField(max_length=150, blank=True, default="")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.CharField(max_length=150, blank=True, default="")
    claimed_until = models.DateTimeField(null=True, blank=True)
    choice = models.CharField(max_length=48, blank=True, default="")
    value = models.CharField(max_length=200, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    proposed_by = models.CharField(max_length=150, blank=True, default="")
    proposed_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(
        max_length=150, blank=True, default="", help_text="The second person where two decide."
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [
            ("handle_intervention", "Can claim, acknowledge and propose decisions"),
            ("approve_intervention", "Can confirm decisions as the second person"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=Q(state__in=[state.value for state in UNDECIDED]),
                name="intervention_open_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(state__in=[state.value for state in UNDECIDED]), name="intervention_due"
            ),
            models.Index(fields=["state", "-id"], name="intervention_state"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def proposal(self) -> str:
        """The digest of what is proposed, which a confirmation names; empty while nothing is."""
        if self.state != InterventionState.PROPOSED or self.proposed_at is None:
            return ""
        answer = (self.choice, self.value, self.reason, self.proposed_by, self.proposed_at)
        return Proposal(self.kind, self.subject, self.evidence, *answer).digest
