"""What two persons need to let trading go on: a reason, who they are, and that they are two."""

from datetime import datetime, timedelta

from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.services.persons import APPROVE_PERMISSION, LONGEST_REASON, checked_reason, require_person

__all__ = ["APPROVE_PERMISSION", "LONGEST_REASON", "checked_reason", "require_person", "require_second_person"]

RELEASE_REQUEST_LASTS = timedelta(hours=1)


def require_second_person(person: str, *, wanted_by: str, wanted_at: datetime | None) -> None:
    """Raise ``ReliabilityError`` unless another person asked for it within the hour."""
    if wanted_at is None or wanted_at < timezone.now() - RELEASE_REQUEST_LASTS:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "Nobody asked for its release within the last hour.")
    if wanted_by.casefold() == person.casefold():
        raise ReliabilityError("AUTH_PERMISSION_DENIED", f"{person} asked for it: another person confirms it.")
