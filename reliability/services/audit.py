"""Write down who changed what."""

from typing import Any

from reliability.core.correlation import current_correlation_id
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
        before=before or {},
        after=after or {},
        reason=reason[:1000],
        correlation_id=current_correlation_id(),
    )
