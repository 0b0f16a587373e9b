"""Who does something and why: an active person with the right, and a reason that is kept."""

from django.contrib.auth import get_user_model

from reliability.core.errors import ReliabilityError
from reliability.core.text import storable

LONGEST_REASON = 500
APPROVE_PERMISSION = "reliability.approve_intervention"  # held by second persons, not by those who ask


def checked_reason(reason: object) -> str:
    """Return a reason as it is kept; raises ``ReliabilityError`` when there is none."""
    text = str(storable(reason)).strip() if isinstance(reason, str) else ""
    if not text:
        raise ReliabilityError(
            "VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the change.", {"reason": ["required"]}
        )
    return text[:LONGEST_REASON]


def require_person(username: str, may: str, *permissions: str) -> str:
    """Return the name of an active user with all permissions; ``may`` says in words what they allow.

    Raises:
        ReliabilityError: there is no such user, or it may not.
    """
    person = get_user_model().objects.filter(username=username).first() if "\0" not in username else None
    if person is None or not person.is_active or not person.has_perms(permissions):
        raise ReliabilityError("AUTH_PERMISSION_DENIED", f"{username} is no active person who may {may}.")
    return person.get_username()
