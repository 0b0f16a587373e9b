"""Changes that take two persons."""

import hashlib

from django.db import models
from django.db.models import Q

from reliability.core.changes import ChangeProposal, ChangeState


class ProposedChange(models.Model):
    """One change that a person proposed; it is made when another person confirms exactly this content.

    What was proposed is written once: the database refuses another content. ``sealed`` holds what nobody may read,
    encrypted, and is emptied when the change is decided.
    """

    kind = models.CharField(max_length=48)
    subject = models.CharField(max_length=200)
    title = models.CharField(max_length=300)
    content = models.JSONField(default=dict)
    sealed = models.BinaryField(default=b"", editable=False)
    reason = models.CharField(max_length=500)
    proposed_by = models.CharField(max_length=150)
    proposed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in ChangeState], default=ChangeState.PROPOSED
    )
    decided_by = models.CharField(max_length=150, blank=True, default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.CharField(max_length=500, blank=True, default="")
    outcome = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=Q(state=ChangeState.PROPOSED.value),
                name="proposedchange_waits_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(state=ChangeState.PROPOSED.value), name="proposedchange_expiry"
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def proposal(self) -> str:
        """The digest of what is proposed, which a confirmation names; empty once it is decided."""
        if self.state != ChangeState.PROPOSED:
            return ""
        secret = hashlib.sha256(bytes(self.sealed)).hexdigest() if self.sealed else ""
        facts = (self.content, secret, self.reason, self.proposed_by, self.proposed_at)
        return ChangeProposal(self.kind, self.subject, *facts).digest
