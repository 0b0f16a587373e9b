"""What an order costs does not grow with the orders before and behind it: no statement on its way reads them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from brokers.core.orders import Side
from brokers.core.reports import OrderReport, ReportedStatus
from brokers.models import Account, Order
from brokers.services.submission import OrderSubmission, accept_orders
from reliability.core.jobs import Performed
from reliability.models import Job
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from reliability.services.jobs.rescue import find_due_lanes, look_for_lost, rescue_lost_jobs
from reliability.services.jobs.table import find_due, has_suspects
from reliability.services.prepared import forget_plans
from reliability.tasks.worker import prefer_indexes
from tests.plans import Step, recorded_plans

pytestmark = pytest.mark.django_db

BACKLOG = 2_000
BATCH = 100
MOST_ROWS = 500  # that one step of a plan may look at for a batch, far below the backlog
_LIMIT = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99.5"}
_WORKER = 7
_AT = datetime(2026, 1, 2, tzinfo=UTC)

Accept = Callable[[int], None]


@pytest.fixture
def accept(account: Account) -> Accept:
    owner = get_user_model().objects.create_user("desk")
    numbers = iter(range(10 * BACKLOG))

    def accept_more(many: int) -> None:
        for _ in range(0, many, 500):
            keys = [f"key-{next(numbers)}" for _ in range(min(many, 500))]
            submissions = [OrderSubmission(key, _LIMIT) for key in keys]
            accept_orders(owner_id=owner.pk, actor="desk", submissions=submissions)

    return accept_more


def finish_all() -> int:
    """Run a batch of the lane, each order acknowledged by its broker; returns how many."""
    calls, claimed = claim_and_prepare("orders", _WORKER, BATCH)
    apply_outcomes([Performed(call.job, call.request, working(call.job.subject)) for call in calls])
    return claimed


def working(order: UUID | None) -> OrderReport:
    row = Order.objects.get(pk=order)
    return OrderReport(
        client_order_id=row.client_order_id,
        broker_order_id=f"b-{order}",
        symbol=row.symbol,
        side=Side(row.side),
        filled_quantity=Decimal(0),
        quantity=row.quantity,
        status=ReportedStatus.WORKING,
        reported_at=_AT,
    )


@pytest.fixture
def backlog(accept: Accept) -> None:
    """Statements are planned while tables are all but empty; then orders come in: done, due, and waiting."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE brokers_order, reliability_job, brokers_orderevent, reliability_lane")
    for _ in range(8):
        accept(5)
        finish_all()
        look()
    accept(2 * BACKLOG)
    rows = list(Job.objects.filter(state="ready").order_by("id").values_list("pk", flat=True))
    now = timezone.now()
    Job.objects.filter(pk__lte=rows[BACKLOG // 2]).update(state="succeeded", finished_at=now)
    Job.objects.filter(pk__gt=rows[BACKLOG * 3 // 2]).update(run_at=now + timedelta(hours=1), priority=50)


def look() -> None:
    """Everything that looks for due work, beside the claim."""
    find_due(["orders", "default"])
    find_due_lanes()
    has_suspects(["orders", "default"])
    look_for_lost()
    rescue_lost_jobs()


def forget_statistics() -> None:
    """Let the server go by pages alone: what ANALYZE saw, rows that other tests took back, fits no new ones."""
    with connection.cursor() as cursor:
        if connection.connection.info.server_version >= 180000:
            for table in ("brokers_order", "reliability_job", "brokers_orderevent"):
                cursor.execute("SELECT pg_clear_relation_stats('public', %s)", [table])


def widest(steps: list[Step]) -> Step:
    return max(steps, key=lambda step: step.rows)


@pytest.mark.usefixtures("backlog")
def test_a_batch_reads_its_own_orders_only_however_many_wait() -> None:
    prefer_indexes(connection)
    forget_plans()
    forget_statistics()
    with recorded_plans() as steps:
        assert finish_all() == BATCH
        look()
    assert any(step.index == "job_due" for step in steps)
    assert widest(steps).rows <= MOST_ROWS, str(widest(steps))


@pytest.mark.usefixtures("backlog")
def test_a_plan_made_while_the_tables_were_small_is_why_a_runner_forgets_its_plans() -> None:
    with recorded_plans() as steps:
        assert finish_all() == BATCH
    assert widest(steps).rows > MOST_ROWS
