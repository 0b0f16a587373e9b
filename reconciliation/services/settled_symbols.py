"""Letting a symbol trade again once what became of its unknown order is known.

While the outcome is unknown two persons decide. When the broker itself has told it, nothing is left for them to find
out: that is noted and the account reconciled at once, and a clean run that began after the note lifts the freeze. A
symbol frozen for a difference that a reconciliation found stays with people.
"""

from datetime import datetime

from django.db import transaction

from brokers.selectors.freezes import DoubtfulSymbol, list_doubtful_symbols
from brokers.selectors.recovery import is_symbol_settled
from brokers.services.freezes import note_settled, release_settled
from reconciliation.core.runs import RunKind, RunState
from reconciliation.models import ReconciliationRun
from reconciliation.services.freeze_watch import BY
from reconciliation.services.runs import request_run
from reliability.core.errors import ReliabilityError

TRIGGER = "settled"


def watch_settled_symbols() -> None:
    """Note which frozen symbols are settled, and release those found clean since. Raises ``DatabaseError``."""
    for doubt in list_doubtful_symbols():
        if not is_symbol_settled(doubt.account_id, doubt.symbol):
            continue
        try:
            if doubt.settled_at is None:
                _reconcile(doubt)
            else:
                _release_if_clean(doubt, doubt.settled_at)
        except ReliabilityError as error:
            if error.code != "VALIDATION_WRONG_STATE":  # somebody was faster, or an order became unknown
                raise


def _reconcile(doubt: DoubtfulSymbol) -> None:
    reason = f"The outcome of each order for {doubt.symbol} is known."
    with transaction.atomic():
        run_id = request_run(doubt.account_id, kind=RunKind.INCREMENTAL, trigger=TRIGGER, by=BY)
        note_settled(doubt.freeze_id, by=BY, reason=reason, evidence={"run": run_id})


def _release_if_clean(doubt: DoubtfulSymbol, settled_at: datetime) -> None:
    runs = ReconciliationRun.objects.filter(account_id=doubt.account_id, started_at__gt=settled_at)
    clean = runs.filter(state=RunState.CLEAN).order_by("id").first()
    if clean is not None:
        reason = f"Reconciliation {clean.pk}, begun after each order for {doubt.symbol} was known, found nothing."
        release_settled(doubt.freeze_id, by=BY, reason=reason, clean_run=clean.pk)
