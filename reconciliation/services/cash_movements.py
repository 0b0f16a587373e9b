"""Cash that the broker itself says moved without an execution, booked before it would look like a difference."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django.utils import timezone

from brokers.core.reports import CashReport
from brokers.selectors.recorded import cash_entries_by_hand
from brokers.services.accounts import AccountProfile
from brokers.services.holdings import book_reported_cash
from reconciliation.models import ReconciliationMark
from reconciliation.services.runs import get_mark

# A broker dates what it books days later, and lists it without a time of day: days are read again, known ids left out.
OVERLAP = timedelta(days=3)
_BY_HAND_WITHIN = timedelta(days=7)


def movements_wanted_since(profile: AccountProfile) -> date | None:
    """Return from which day on a broker is asked for movements of cash, None where it lists none."""
    if not profile.adapter.capabilities.lists_cash_movements:
        return None
    looked = get_mark(profile.id).cash_movements.get("looked")
    return (date.fromisoformat(looked) if looked else timezone.now().date()) - OVERLAP


def book_movements(account_id: int, reports: Sequence[CashReport] | None) -> int:
    """Book what was not known yet, in the caller's transaction, and return how many; None was not asked for.

    The first answer is where counting begins, as with the cash. What a person has booked already, the same
    amount as the same kind within a week, is not booked a second time.
    """
    if reports is None:
        return 0
    get_mark(account_id)
    mark = ReconciliationMark.objects.select_for_update().get(account_id=account_id)
    known: dict[str, Any] = mark.cash_movements
    fresh = [one for one in reports if one.movement_id not in set(known.get("seen", ()))] if known else []
    matched: list[int] = list(known.get("matched", ()))
    booked = 0
    for one in fresh:
        since = timezone.now() - _BY_HAND_WITHIN
        by_hand = cash_entries_by_hand(account_id, one.kind, one.amount, one.currency, since, besides=matched)
        if by_hand:
            matched.append(by_hand[0])
            continue
        book_reported_cash(account_id, one)
        booked += 1
    seen = [one.movement_id for one in reports]
    mark.cash_movements = {"looked": timezone.now().date().isoformat(), "seen": seen, "matched": matched[-100:]}
    mark.save(update_fields=["cash_movements"])
    return booked
