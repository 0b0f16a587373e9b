"""Changing how long a kind of rows is kept."""

from django.db import transaction

from reliability.core.errors import ReliabilityError
from reliability.models import RetentionPolicy
from reliability.services.audit import record_audit
from reliability.services.retention.upkeep import ensure_policies


def set_policy(kind: str, *, keep_days: int | None, is_exported: bool, actor: str) -> RetentionPolicy:
    """Keep a kind for so many days after a piece's end (None: for good), with or without an export.

    Raises:
        ReliabilityError: no such kind, or no whole day.
    """
    if keep_days is not None and not 1 <= keep_days <= 36_500:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Keep rows for 1 to 36500 days, or for good.")
    ensure_policies()
    with transaction.atomic():
        policy = RetentionPolicy.objects.select_for_update().filter(pk=kind).first()
        if policy is None:
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"No kind of rows is called {kind[:32]!r}.")
        before = {"keep_days": policy.keep_days, "is_exported": policy.is_exported}
        after = {"keep_days": keep_days, "is_exported": is_exported}
        if before != after:
            policy.keep_days, policy.is_exported = keep_days, is_exported
            policy.save(update_fields=["keep_days", "is_exported"])
            record_audit(actor, "set_retention", f"retention:{kind}", before=before, after=after)
    return policy
