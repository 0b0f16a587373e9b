"""Reading recovery runs: how far one is, how they ended, and how long they took."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from brokers.selectors.recovery import AccountName, list_account_names
from reconciliation.core.recovery import RecoveryFigures, RecoveryState
from reconciliation.models import RecoveryRun, RecoveryTrigger
from reliability.selectors.sagas import list_saga_events, list_saga_steps

FIGURES_OVER = timedelta(days=30)

_FIGURES = """
WITH ended AS (
    SELECT state, extract(epoch FROM finished_at - disrupted_at)::float AS seconds,
           EXISTS (SELECT 1 FROM reconciliation_recoverytrigger t
                   WHERE t.run_id = run.id AND t.kind = 'person') AS by_person
    FROM reconciliation_recoveryrun run
    WHERE started_at >= %(since)s AND (%(account)s::bigint IS NULL OR account_id = %(account)s)
      AND NOT EXISTS (SELECT FROM reconciliation_drill drill
                      WHERE drill.account_id = run.account_id AND drill.injected_at <= run.started_at
                        AND drill.injected_at >= %(since)s - interval '1 hour'
                        AND (drill.ended_at IS NULL OR drill.ended_at >= run.started_at))
)
SELECT count(*) FILTER (WHERE state = 'recovered' AND NOT by_person),
       count(*) FILTER (WHERE state = 'recovered' AND by_person),
       count(*) FILTER (WHERE state = 'failed'),
       count(*) FILTER (WHERE state = 'superseded'),
       count(*) FILTER (WHERE state = 'running'),
       avg(seconds) FILTER (WHERE state = 'recovered'),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE state = 'recovered'),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE state = 'recovered')
FROM ended
"""


def read_figures(*, since: datetime | None = None, account_id: int | None = None) -> RecoveryFigures:
    """Return how recoveries since an instant ended and how long they took, from the disruption to the end.

    Those that began on an account while a drill ran on it are the drill's, and do not count.
    """
    parameters = {"since": since or timezone.now() - FIGURES_OVER, "account": account_id}
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, parameters)
        return RecoveryFigures(*cursor.fetchone())


def figures_facts(figures: RecoveryFigures) -> dict[str, Any]:
    return {
        "recovered_automatically": figures.recovered,
        "recovered_after_a_person_asked": figures.by_person,
        "failed": figures.failed,
        "superseded": figures.superseded,
        "running": figures.running,
        "automatic_rate": figures.automatic_rate,
        "mttr_seconds": figures.mttr_seconds,
        "median_seconds": figures.median_seconds,
        "p95_seconds": figures.p95_seconds,
    }


def list_runs(*, account_id: int | None = None, before: int | None = None, limit: int = 50) -> list[RecoveryRun]:
    """Return recovery runs, newest first; ``before`` goes on after the last one of a page."""
    rows = RecoveryRun.objects.select_related("account").order_by("-id")
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows[:limit])


def find_run(run_id: int) -> RecoveryRun | None:
    return RecoveryRun.objects.select_related("account").filter(pk=run_id).first()


def run_facts(run: RecoveryRun) -> dict[str, Any]:
    """Return one run as plain data; reads the account's name."""
    seconds = (run.finished_at - run.disrupted_at).total_seconds() if run.finished_at else None
    return {
        "id": run.pk,
        "account": run.account.name,
        "generation": run.generation,
        "state": run.state,
        "trigger": run.trigger,
        "requested_by": run.requested_by,
        "freezes_trading": run.freezes_trading,
        "disrupted_at": run.disrupted_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "seconds": seconds,
        "findings": run.findings,
        "error": {"code": run.error_code, "message": run.error_message} if run.error_code else None,
    }


def run_steps(run: RecoveryRun) -> list[dict[str, Any]]:
    """Return the steps of a run in their order, with what each found."""
    return [
        {
            "number": step.number,
            "action": step.action,
            "stage": step.payload.get("stage", 0),
            "state": step.state,
            "result": step.result,
            "error": step.error_message,
        }
        for step in list_saga_steps(run.saga_id)
    ]


def run_triggers(run: RecoveryRun) -> list[RecoveryTrigger]:
    return list(RecoveryTrigger.objects.filter(run=run).order_by("id"))


def run_events(run: RecoveryRun) -> list[dict[str, Any]]:
    return list_saga_events(run.saga_id)


def list_unrecovered() -> list[dict[str, Any]]:
    """Return, for the operator, the accounts whose newest run is under way or failed, with how far it is."""
    found = []
    for run in _newest_runs(list_account_names()):
        if run.state in (RecoveryState.RUNNING, RecoveryState.FAILED):
            steps = run_steps(run) if run.state == RecoveryState.RUNNING else []
            done = sum(step["state"] == "done" for step in steps)
            now = [step["action"] for step in steps if step["state"] == "running"]
            found.append({**run_facts(run), "done": done, "steps": len(steps), "now": now})
    return found


def account_of(name: str) -> AccountName | None:
    """Return the account in use that is called so."""
    return next((one for one in list_account_names() if one.name == name), None)


def _newest_runs(accounts: Sequence[AccountName]) -> list[RecoveryRun]:
    rows = RecoveryRun.objects.select_related("account").filter(account_id__in=[one.id for one in accounts])
    return list(rows.order_by("account_id", "-generation").distinct("account_id"))
