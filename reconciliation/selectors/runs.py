"""Reading runs and what they found."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count

from reconciliation.core.discrepancy import DiscrepancyState
from reconciliation.core.runs import FINISHED, RunState
from reconciliation.models import Discrepancy, ReconciliationRun

_COUNTS = (
    "looks", "calls", "orders_reported", "fills_reported", "positions_reported", "suspected", "found", "resolved",
    "remaining",
)  # fmt: skip

_IN_SHORT = ("side", "quantity", "filled_quantity", "price", "limit_price", "state", "cash")


# One step into the index per account, however many runs there were.
_LAST_ENDED = """
SELECT account.name, latest.id, latest.state, latest.finished_at FROM brokers_account account
CROSS JOIN LATERAL (
    SELECT id, state, finished_at FROM reconciliation_reconciliationrun run
    WHERE run.account_id = account.id AND run.state = ANY(%s) ORDER BY run.id DESC LIMIT 1) latest
"""


def find_run(run_id: int) -> ReconciliationRun | None:
    return ReconciliationRun.objects.select_related("account").filter(pk=run_id).first()


def list_runs(*, account: str = "", before: int | None = None, limit: int = 50) -> list[ReconciliationRun]:
    """Return runs, newest first; ``before`` goes on behind the last of a page."""
    rows = ReconciliationRun.objects.select_related("account").order_by("-id")
    if account:
        rows = rows.filter(account__name=account)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows[:limit])


def list_latest_runs() -> list[ReconciliationRun]:
    """Return the newest run of each account, by the account's name."""
    newest = ReconciliationRun.objects.order_by("account_id", "-id").distinct("account_id")
    rows = ReconciliationRun.objects.select_related("account").filter(pk__in=newest.values("pk"))
    return list(rows.order_by("account__name"))


def run_facts(run: ReconciliationRun) -> dict[str, Any]:
    """Return one run as plain data."""
    return {
        "id": run.pk,
        "account": run.account.name,
        "kind": run.kind,
        "trigger": run.trigger,
        "requested_by": run.requested_by,
        "state": run.state,
        "step": run.step,
        "is_over": run.state in FINISHED,
        "requested_at": run.requested_at,
        "started_at": run.started_at,
        "asked_at": run.asked_at,
        "finished_at": run.finished_at,
        **{name: getattr(run, name) for name in _COUNTS},
        "error_code": run.error_code or None,
        "error_message": run.error_message or None,
    }


def find_discrepancy(discrepancy_id: int) -> Discrepancy | None:
    return Discrepancy.objects.select_related("account").filter(pk=discrepancy_id).first()


def list_discrepancies(
    *,
    run_id: int | None = None,
    account: str = "",
    state: str = "",
    kind: str = "",
    before: int | None = None,
    limit: int = 100,
) -> list[Discrepancy]:
    """Return differences, newest first: of one run (first seen or seen again in it), or of an account."""
    rows = Discrepancy.objects.select_related("account").order_by("-id")
    if run_id is not None:
        rows = rows.filter(run_id=run_id) | rows.filter(last_run_id=run_id)
    filters = {"account__name": account, "state": state, "kind": kind}
    rows = rows.filter(**{name: value for name, value in filters.items() if value})
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows[:limit])


def count_open(account_id: int | None = None) -> int:
    """Return how many differences wait for somebody, on one account or on all."""
    rows = Discrepancy.objects.filter(state=DiscrepancyState.OPEN)
    return rows.count() if account_id is None else rows.filter(account_id=account_id).count()


def count_open_by_kind() -> dict[str, int]:
    """Return how many differences are open, by kind; kinds without any are left out."""
    rows = Discrepancy.objects.filter(state=DiscrepancyState.OPEN).order_by()
    return dict(rows.values_list("kind").annotate(number=Count("pk")))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the last reconciliation of an account ended, and when."""

    run_id: int
    state: str
    at: datetime


def last_verdicts() -> dict[str, Verdict]:
    """Return the last reconciliation with a verdict of each account, by the account's name."""
    verdicts = [RunState.CLEAN.value, RunState.DIFFERENCES.value]
    with connection.cursor() as cursor:
        cursor.execute(_LAST_ENDED, [verdicts])
        return {name: Verdict(*verdict) for name, *verdict in cursor.fetchall()}


def last_ended_by_account() -> dict[str, datetime]:
    """Return when a reconciliation of each account last ended with a verdict."""
    return {name: verdict.at for name, verdict in last_verdicts().items()}


def discrepancy_facts(row: Discrepancy) -> dict[str, Any]:
    """Return one difference as plain data, both sides beside each other."""
    return {
        "id": row.pk,
        "account": row.account.name,
        "run": row.run_id,
        "last_run": row.last_run_id,
        "kind": row.kind,
        "subject_type": row.subject_type,
        "subject": row.subject,
        "symbol": row.symbol,
        "order": str(row.order_id) if row.order_id else None,
        "recorded": row.recorded,
        "reported": row.reported,
        "after": row.after,
        "state": row.state,
        "resolution": row.resolution or None,
        "reason": row.reason,
        "looks": row.looks,
        "first_seen_at": row.first_seen_at,
        "seen_at": row.seen_at,
        "resolved_at": row.resolved_at,
        "resolved_by": row.resolved_by or None,
    }


def sides(row: Discrepancy) -> list[tuple[str, str, str, bool]]:
    """Return both sides value by value: name, recorded, reported, and whether they differ."""
    names = dict.fromkeys((*row.recorded, *row.reported))
    lines = []
    for name in names:
        ours, theirs = row.recorded.get(name), row.reported.get(name)
        both = name in row.recorded and name in row.reported
        lines.append(
            (name, _text(ours), _text(theirs), both and ours is not None and theirs is not None and ours != theirs)
        )
    return lines


def _text(value: Any) -> str:
    return "—" if value in (None, "") else str(value)


def differing_part(side: dict[str, Any], other: dict[str, Any]) -> str:
    """Return in a line what one side has differently from the other, or what matters of it where there is no other."""
    if not side:
        return "—"
    if other:
        names = [name for name in side if other.get(name, side[name]) != side[name]]
    else:
        names = [name for name in _IN_SHORT if name in side]
    return ", ".join(f"{name.replace('_', ' ')} {side[name]}" for name in names or side if side[name])
