"""What calls to a broker tell of an account besides their answers: that a login is refused, and how its clock goes."""

from datetime import datetime, timedelta

from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.core.reports import AccountReport
from brokers.models import Account

# A login that is refused makes every call fail; to tell it once a second is enough.
_NOT_OFTENER = timedelta(seconds=1)
_REFUSED_LOGINS = ("AUTH_INVALID_CREDENTIALS", "AUTH_FORBIDDEN")


def note_login_refused(account_id: int, error: BrokerCallError, *, is_read: bool = True) -> None:
    """Keep that a broker refused the credentials of an account, in the caller's transaction; other errors are not.

    Since when counts from the first refusal behind which the broker answered nothing.

    Args:
        is_read: Whether the call was a question: one that is forbidden shows that the login is, an order that is
            forbidden may be about the order.
    """
    codes = _REFUSED_LOGINS if is_read else _REFUSED_LOGINS[:1]
    if error.code not in codes:
        return
    now = timezone.now()
    due = Q(login_refused_at=None) | Q(login_refused_at__lt=now - _NOT_OFTENER)
    goes_on = Q(login_refused_since__isnull=False) & (Q(synced_at=None) | Q(synced_at__lt=F("login_refused_at")))
    Account.objects.filter(due, pk=account_id).update(
        login_refused_since=Case(When(goes_on, then=F("login_refused_since")), default=Value(now)),
        login_refused_at=now,
        login_refused=f"{error.code}: {error.message}"[:300],
    )


def note_clock(account_id: int, report: AccountReport, asked_at: datetime) -> None:
    """Keep how far the broker's clock is from ours, where its answer told."""
    if report.clock_offset is not None:
        Account.objects.filter(pk=account_id).update(clock_offset=report.clock_offset, clock_seen_at=asked_at)
