"""Keeping differences as rows: one row as long as the same difference is seen, however many looks see it."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from reconciliation.core.discrepancy import Difference, DiscrepancyKind, DiscrepancyState, SubjectType
from reconciliation.models import Discrepancy, ReconciliationRun

PROGRAM = "reconciliation"  # who settled what no person did

# A difference that somebody accepted as it is stays accepted until one of its sides changes; an order placed
# elsewhere stays accepted whatever becomes of it.
_RECORD = """
INSERT INTO reconciliation_discrepancy (account_id, run_id, last_run_id, kind, subject_type, subject, symbol, order_id,
    recorded, reported, is_in_flight, after, state, resolution, reason, looks, resolved_by, first_seen_at, seen_at)
SELECT %(account)s, %(run)s, %(run)s, new.kind, new.subject_type, new.subject, new.symbol, new.order_id,
       new.recorded, new.reported, new.is_in_flight, '{}', 'suspected', '', '', 1, '', clock_timestamp(),
       clock_timestamp()
FROM unnest(%(kinds)s::text[], %(types)s::text[], %(subjects)s::text[], %(symbols)s::text[], %(orders)s::uuid[],
            %(recorded)s::jsonb[], %(reported)s::jsonb[], %(in_flight)s::boolean[])
     AS new (kind, subject_type, subject, symbol, order_id, recorded, reported, is_in_flight)
WHERE NOT EXISTS (
    SELECT FROM reconciliation_discrepancy old
    WHERE old.account_id = %(account)s AND old.subject_type = new.subject_type AND old.subject = new.subject
          AND old.kind = new.kind AND old.state = 'resolved' AND old.resolution = 'accept'
          AND (new.kind = 'external' OR (old.recorded = new.recorded AND old.reported = new.reported)))
ON CONFLICT (account_id, kind, subject_type, subject) WHERE state IN ('suspected', 'open')
DO UPDATE SET looks = reconciliation_discrepancy.looks + 1, last_run_id = excluded.run_id, seen_at = excluded.seen_at,
    recorded = excluded.recorded, reported = excluded.reported, is_in_flight = excluded.is_in_flight
"""


def record_differences(run: ReconciliationRun, differences: Sequence[Difference]) -> int:
    """Record what one look saw, in the caller's transaction, and return how many rows that made or touched."""
    unique = list({one.key: one for one in differences}.values())
    if not unique:
        return 0
    parameters: Any = {
        "account": run.account_id,
        "run": run.pk,
        "kinds": [one.kind.value for one in unique],
        "types": [one.subject_type.value for one in unique],
        "subjects": [one.subject for one in unique],
        "symbols": [one.symbol for one in unique],
        "orders": [one.order_id for one in unique],
        "recorded": [json.dumps(one.recorded) for one in unique],
        "reported": [json.dumps(one.reported) for one in unique],
        "in_flight": [one.is_in_flight for one in unique],
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, parameters)
        return int(cursor.rowcount)


def let_go_of_unseen(run: ReconciliationRun, judged: Collection[SubjectType]) -> int:
    """Settle what was open and is not seen any more: both sides agree now, without anybody having done it here.

    Only what this look could judge: executions outside its window were not looked at, nor the cash of an account
    that trades. That an order placed elsewhere is over is no reason to forget it.
    """
    unseen = Discrepancy.objects.filter(account_id=run.account_id).exclude(last_run=run)
    unseen.filter(state=DiscrepancyState.SUSPECTED).delete()
    gone = unseen.filter(state=DiscrepancyState.OPEN, subject_type__in=judged)
    gone = gone.exclude(kind=DiscrepancyKind.EXTERNAL)
    return settle(gone, DiscrepancyState.VANISHED, "", "Both sides agree again.", PROGRAM)


def settle(rows: QuerySet[Discrepancy], state: DiscrepancyState, resolution: str, reason: str, by: str) -> int:
    """Write what became of differences, and return of how many."""
    return rows.update(state=state, resolution=resolution, reason=reason, resolved_by=by, resolved_at=timezone.now())
