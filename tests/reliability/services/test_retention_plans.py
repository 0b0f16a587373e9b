"""Hourly upkeep reads what is old enough to go, however much is not."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from reliability.services.retention.own_keepers import JOBS
from tests.plans import Step, recorded_plans

pytestmark = pytest.mark.django_db

FINISHED = 30_000
MOST_ROWS = FINISHED // 5
_FINISH = """
INSERT INTO reliability_job (kind, lane, state, priority, payload, attempt, max_attempts, snoozes, crashes, fence,
                             correlation_id, error_code, error_message, finished_at)
SELECT 'tests.deed', 'default', 'succeeded', 100, '{}', 1, 6, 0, 0, 1, '', '', '',
       now() - interval '1 day' * 120 * (1 - number / %(many)s::float)
FROM generate_series(1, %(many)s) AS number
"""


@pytest.fixture
def finished() -> None:
    """Jobs of a hundred and twenty days, in the order in which they ended."""
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, {"many": FINISHED})
        cursor.execute("SELECT brin_summarize_new_values('job_finished')")
        cursor.execute("ANALYZE reliability_job")


def of_jobs(steps: list[Step]) -> list[Step]:
    return [step for step in steps if step.table == "reliability_job"]


@pytest.mark.usefixtures("finished")
def test_finding_and_dropping_old_jobs_reads_no_others() -> None:
    before = timezone.now() - timedelta(days=118)
    with recorded_plans() as steps:
        pieces = JOBS.list_pieces(before)
        gone = JOBS.drop(pieces[0], None)
    assert gone
    assert of_jobs(steps)
    for step in of_jobs(steps):
        assert step.kind != "Seq Scan", str(step)
        assert step.rows < MOST_ROWS, str(step)


@pytest.mark.usefixtures("finished")
def test_finding_that_nothing_is_old_enough_reads_next_to_nothing() -> None:
    with recorded_plans() as steps:
        assert JOBS.list_pieces(timezone.now() - timedelta(days=500)) == []
    assert max(step.rows for step in of_jobs(steps)) < MOST_ROWS
