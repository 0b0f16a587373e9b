"""The kinds of jobs this app brings."""

from reconciliation.services.market_data.backfill_job import BackfillJob
from reconciliation.services.run_job import ReconcileAccountJob, ReconcileAllJob
from reliability.services.jobs.kinds import register


def register_job_kinds() -> None:
    for kind in (ReconcileAccountJob(), ReconcileAllJob(), BackfillJob()):
        register(kind)
