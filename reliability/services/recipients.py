"""Channels of people: their addresses are checked, kept encrypted, and never shown again."""

from django.db import transaction

from reliability.core.channels import check_address
from reliability.core.errors import ReliabilityError
from reliability.models import Recipient
from reliability.services.audit import record_audit
from reliability.services.channels import shown_address
from reliability.services.secrets import seal


def save_recipient(
    name: str,
    address: str = "",
    *,
    actor: str,
    username: str = "",
    fallback: Recipient | None = None,
    is_enabled: bool = True,
) -> Recipient:
    """Make a channel, or change the one of that name; an empty address keeps the one it has.

    Raises:
        ReliabilityError: the address is of no kind that is sent to, there is none, or the fallbacks run in a circle.
    """
    with transaction.atomic():
        row = Recipient.objects.select_for_update().filter(name=name).first() or Recipient(name=name)
        before = _facts(row) if row.pk else {}
        if address:
            row.shown_address, row.address = _shown(address), seal(address)
        elif not row.pk:
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give the address of the channel.")
        row.username, row.fallback, row.is_enabled = username, fallback, is_enabled
        _refuse_circle(row)
        row.save()
        record_audit(actor, "save_recipient", f"recipient:{row.pk}", before=before, after=_facts(row))
    return row


def _shown(address: str) -> str:
    try:
        check_address(address)
    except ValueError as error:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"The address is wrong: {error}.") from None
    return shown_address(address)


def _refuse_circle(row: Recipient) -> None:
    seen, other = {row.name}, row.fallback
    while other is not None:
        if other.name in seen:
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Its fallbacks run in a circle.")
        seen.add(other.name)
        other = other.fallback


def _facts(row: Recipient) -> dict[str, str]:
    fallback = row.fallback.name if row.fallback else ""
    return {"address": row.shown_address, "username": row.username, "fallback": fallback, "on": str(row.is_enabled)}
