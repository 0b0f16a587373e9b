"""When an order's job makes a call again: after the waits of the error's policy, paid for from the broker's budget.

A submission pays before it is sent again and waits if it cannot. A cancel and the look-up of an unknown order pay
when they failed; they are never given up, so without budget they come back at the pace of a recovery instead.
"""

import random
from collections.abc import Callable
from datetime import timedelta

from brokers.adapters.errors import BrokerCallError
from brokers.services.accounts import AccountProfile
from brokers.services.guards import CallClass, get_guard
from reliability.core.catalog import CATALOG
from reliability.core.classification import Operation
from reliability.core.retry import lasting_delay

UNPAID_SECONDS = 1.0
_UNNAMED = "SYSTEM_UNEXPECTED"

draw: Callable[[], float] = random.random


def repeat_delay(
    error: BaseException | None, operation: Operation, failures: int, left: timedelta | None = None
) -> timedelta:
    """Return the wait before ``operation`` is tried again after ``error``, the ``failures``-th in a row.

    ``left`` is the time until the deadline of the order: no wait goes beyond it.
    """
    known = error if isinstance(error, BrokerCallError) else None
    code = known.code if known is not None and known.code in CATALOG else _UNNAMED
    named = known.retry_after_seconds if known is not None else None
    retry_after = None if named is None else timedelta(seconds=named)
    return lasting_delay(code, operation, failures, draw(), retry_after=retry_after, left=left)


def paid_delay(
    profile: AccountProfile, call_class: CallClass, error: BaseException | None, operation: Operation, failures: int
) -> timedelta:
    """Return ``repeat_delay`` of a call that is never given up, having paid for it; longer when that failed."""
    delay = repeat_delay(error, operation, failures)
    guard = get_guard(profile, call_class)
    return delay if guard.may_retry() else max(delay, guard.pace(UNPAID_SECONDS))
