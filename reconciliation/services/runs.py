"""Reconciliation runs: asking for one, and what it means that one is over."""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from brokers.selectors.recorded import APPEND_ONLY, newest_fill_id, read_row_counts
from reconciliation.core.discrepancy import DiscrepancyState
from reconciliation.core.hand_changes import changed_by_hand
from reconciliation.core.runs import UNFINISHED, RunKind, RunState, RunStep
from reconciliation.models import Discrepancy, ReconciliationMark, ReconciliationRun
from reconciliation.services import staging
from reconciliation.services.telling import tell_of_account
from reliability.core.errors import ReliabilityError
from reliability.services.jobs.enqueue import NewJob, enqueue_job

RUN_KIND = "reconciliation.run"
STUCK_AFTER = timedelta(minutes=10)
_REQUEST = """
INSERT INTO reconciliation_reconciliationrun (account_id, kind, trigger, requested_by, state, step, token, looks, calls,
    orders_reported, fills_reported, positions_reported, orders_recorded, suspected, found, resolved, remaining, marks,
    error_code, error_message)
VALUES (%(account)s, %(kind)s, %(trigger)s, %(by)s, 'queued', 'orders', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '{}', '', '')
ON CONFLICT (account_id, kind) WHERE state = 'queued'
DO UPDATE SET kind = excluded.kind
RETURNING id
"""

logger = logging.getLogger(__name__)

_when_finished: list[Callable[[int], None]] = []


def call_when_finished(function: Callable[[int], None]) -> None:
    """Have ``function`` called with the id of each run that is over, in the transaction that ends it."""
    _when_finished.append(function)


def request_run(account_id: int, *, kind: RunKind | str, trigger: str, by: str) -> int:
    """Ask for an account to be reconciled, and return the run's id.

    One that waits already is the answer to a second request of its kind. Call it inside the
    transaction that gives the reason, if there is one.

    Args:
        kind: ``incremental`` or ``full``.
        trigger: What asked: ``schedule``, ``person``, ``api``, ``command``, ``recovery``.
        by: Who asked.
    """
    try:
        wanted = RunKind(kind)
    except ValueError:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"kind": ["incremental or full"]}) from None
    parameters = {"account": account_id, "kind": wanted.value, "trigger": trigger[:32], "by": by[:150]}
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_REQUEST, parameters)
            run_id = int(cursor.fetchone()[0])
        enqueue_job(RUN_KIND, NewJob(payload={"run": run_id}, unique_key=f"reconciliation:{run_id}"))
    return run_id


def runs_before(run: ReconciliationRun) -> QuerySet[ReconciliationRun]:
    """Return runs of the same account that began and are not over."""
    running = ReconciliationRun.objects.filter(account_id=run.account_id, state=RunState.RUNNING)
    return running.exclude(pk=run.pk)


def give_up_stuck(run: ReconciliationRun) -> None:
    """End runs of the account that made no progress for long: their work died, and nothing else ends them."""
    for stuck in runs_before(run).filter(progress_at__lt=timezone.now() - STUCK_AFTER):
        end_inconclusive(stuck, "SYSTEM_WORKER_LOST", "It made no progress for ten minutes.")


def begin(run: ReconciliationRun) -> None:
    """Start a run, or start it again after what was put aside for it got lost.

    Where rows were changed that nothing changes, it goes through the whole record, whatever its kind.
    """
    staging.clear(run.pk)
    now = timezone.now()
    run.state, run.step, run.token = RunState.RUNNING, RunStep.ORDERS, ""
    run.started_at = run.started_at or now
    run.asked_at = run.progress_at = now
    counts, known = read_row_counts(), get_mark(run.account_id).row_counts
    run.marks = {"fill_id": newest_fill_id(), "row_counts": counts}
    changes = changed_by_hand(known, counts, APPEND_ONLY)
    if changes:
        run.marks["hand_changes"] = changes
        logger.warning(
            "old rows cannot be relied upon; everything is compared", extra={"run": run.pk, "tables": changes}
        )
    run.orders_reported = run.fills_reported = run.positions_reported = 0
    run.save()


def get_mark(account_id: int) -> ReconciliationMark:
    """Return up to where an account was found clean; a new one where it never was."""
    mark, _ = ReconciliationMark.objects.get_or_create(account_id=account_id)
    return mark


def end_inconclusive(run: ReconciliationRun, code: str, message: str) -> None:
    """End a run without a verdict: a question was not answered, and no answer is not an answer.

    What it suspected is forgotten, what was open before stays as it was.
    """
    Discrepancy.objects.filter(last_run=run, state=DiscrepancyState.SUSPECTED).delete()
    run.state, run.step = RunState.INCONCLUSIVE, RunStep.DONE
    run.error_code, run.error_message = code, message[:500]
    _end(run)


def end_with_verdict(run: ReconciliationRun) -> None:
    """End a run that looked at everything, and move the marks that its verdict allows."""
    of_account = Discrepancy.objects.filter(account_id=run.account_id)
    run.remaining = of_account.filter(state=DiscrepancyState.OPEN).count()
    moving = of_account.filter(last_run=run, state=DiscrepancyState.SUSPECTED)
    if moving.exists():
        symbols = ", ".join(sorted({row.symbol or row.subject for row in moving}))
        end_inconclusive(run, "DATA_NOT_AVAILABLE", f"It never came to rest, so nothing can be said: {symbols}")
        return
    run.state = RunState.DIFFERENCES if run.found or run.remaining else RunState.CLEAN
    run.step = RunStep.DONE
    _move_mark(run)
    tell_of_account(run)
    _end(run)


def _move_mark(run: ReconciliationRun) -> None:
    """Go on from here the next time; the cash only where it was explained, for differences add up."""
    mark = get_mark(run.account_id)
    mark.fill_cursor = run.marks.get("fill_cursor", mark.fill_cursor)
    mark.fill_id = run.marks["fill_id"]
    mark.row_counts = run.marks.get("row_counts", mark.row_counts)
    cash = run.marks.get("agreed_cash")
    if cash is not None:
        mark.cash, mark.cash_fill_id, mark.cash_entry_id = cash["cash"], cash["fill_id"], cash["entry_id"]
        mark.cash_fee_id, mark.cash_confirmed = cash["fee_id"], cash.get("is_confirmed", False)
    if run.state == RunState.CLEAN:
        mark.clean_at = run.asked_at
        mark.full_at = run.asked_at if run.reads_all else mark.full_at
    mark.save()


def _end(run: ReconciliationRun) -> None:
    run.finished_at = timezone.now()
    run.token = ""
    run.save()
    staging.clear(run.pk)
    for function in _when_finished:
        function(run.pk)


def waiting_runs() -> QuerySet[ReconciliationRun]:
    return ReconciliationRun.objects.filter(state__in=UNFINISHED)
