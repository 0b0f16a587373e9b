"""Write down who changed what."""

from typing import Any

from reliability.core.correlation import current_correlation_id
from reliability.core.text import storable
from reliability.models import AuditEntry


def record_audit(
    actor: str,
    action: str,
    subject: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Append one entry, in the caller's transaction."""
    AuditEntry.objects.create(
        actor=actor,
        action=action,
        subject=subject,
        before=storable(before or {}),
        after=storable(after or {}),
        reason=storable(reason)[:1000],
        correlation_id=current_correlation_id(),
    )
