"""No question of the screen, or of the list of incidents, reads more because a year of history lies behind it."""

from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from reconciliation.models import RecoveryRun
from reliability.models import Incident, Release
from reliability.services.service_levels import ensure_levels
from tests.factories import make_account, make_lanes, make_order, make_user
from tests.plans import Step, recorded_plans

pytestmark = pytest.mark.django_db

MANY = 6_000
MOST_ROWS = 1_500  # of one table in one statement: what is shown, what a day or a month has, and never a year
_BETWEEN = "generate_series(1, %(many)s) AS number"
_AT = "now() - interval '40 days' - number * interval '20 minutes'"
_HISTORY = {
    "reliability_incident": f"""
        INSERT INTO reliability_incident (kind, domain, subject, title, state, severity, severity_is_set, detected_at,
            acknowledged_by, closed_by, reopened, root_cause, impact, lessons, follow_up, discovery, reference,
            is_recurring, resolved_at, closed_at)
        SELECT 'real', 'broker', 'sim-a', 'old', 'closed', 2, false, {_AT}, '', '', 0, '', '', '', '', 'alert', '',
            false, {_AT}, {_AT} FROM {_BETWEEN}""",
    "reliability_alert": f"""
        INSERT INTO reliability_alert (condition, scope, subject, domain, severity, state, message, details,
            correlation_id, occurrences, flaps, clear_reason, acknowledged_by, resolved_by, resolved_reason,
            raised_at, last_raised_at, resolved_at)
        SELECT 'stream.silent', 'account:a', 'a', 'broker', 2, 'resolved', 'old', '{{}}', '', 1, 0, '', '', '', '',
            {_AT}, {_AT}, {_AT} FROM {_BETWEEN}""",
    "reliability_timelineentry": f"""
        INSERT INTO reliability_timelineentry (subject_kind, subject_id, kind, from_state, to_state, actor, reason,
            detail, correlation_id, recorded_at)
        SELECT 'alert', number, 'raised', '', 'open', '', '', '{{}}', '', {_AT} FROM {_BETWEEN}""",
    "reliability_errorrollup": f"""
        INSERT INTO reliability_errorrollup (minute, source, operation, category, code, errors)
        SELECT date_trunc('minute', {_AT}), 'sim-a', 'submit', 'network', 'N', number FROM {_BETWEEN}""",
    "reliability_servicesample": f"""
        INSERT INTO reliability_servicesample (service, subject, at, good, bad)
        SELECT 'orders', 'sim-a', now() - number * interval '15 minutes', 100000 - number, 0 FROM {_BETWEEN}""",
    "reliability_intervention": f"""
        INSERT INTO reliability_intervention (kind, subject, title, evidence, choices, state, due_at, created_at,
            is_overdue, acknowledged_by, claimed_by, choice, value, reason, proposed_by, decided_by, outcome)
        SELECT 'orders.unknown', 'order:' || number, 'old', '{{}}', '[]', 'decided', {_AT}, {_AT}, false, '', '', '',
            '', '', '', '', '' FROM {_BETWEEN}""",
}


@pytest.fixture
def year() -> None:
    """A year behind, and little in the last month."""
    ensure_levels()
    make_lanes()
    account, person, now = make_account(), make_user(), timezone.now()
    make_order(account, person)
    Release.objects.create(name="v1")
    RecoveryRun.objects.bulk_create(
        RecoveryRun(
            account=account, generation=number, saga_id=uuid4(), state="recovered", trigger="stream_returned",
            requested_by="watch", disrupted_at=now, started_at=now - timedelta(days=31, minutes=number),
            finished_at=now - timedelta(days=31, minutes=number),
        )
        for number in range(MANY)
    )  # fmt: skip
    with connection.cursor() as cursor:
        for statement in _HISTORY.values():
            cursor.execute(statement, {"many": MANY})
        for table in (*_HISTORY, "reconciliation_recoveryrun"):
            cursor.execute(f"ANALYZE {table}")
    Incident.objects.create(domain="broker", subject="b", title="now", severity=1, detected_at=now)


@pytest.mark.usefixtures("year")
@pytest.mark.parametrize("address", ["/live", "/incidents", "/incidents?state=", "/service-levels", "/recoveries"])
def test_history_costs_nothing(address: str) -> None:
    person = make_user()
    person.is_superuser = True
    person.save()
    client = Client()
    client.force_login(person)
    client.get(address)

    with recorded_plans() as steps:
        assert client.get(address).status_code == 200

    read: Counter[tuple[str, str]] = Counter()
    for step in steps:
        if step.table:
            read[step.table, step.statement] += int(step.rows)
    assert read
    much = {key: rows for key, rows in read.items() if rows > MOST_ROWS}
    assert much == {}, "\n".join(str(step) for step in steps if _is_of(step, much))


def _is_of(step: Step, much: dict[tuple[str, str], int]) -> bool:
    return (step.table, step.statement) in much
