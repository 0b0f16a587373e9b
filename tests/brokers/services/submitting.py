"""What the tests of sending share: the job of an order, its events, and running until nothing is due."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from brokers.models import Order, OrderEvent
from reliability.models import Job
from tests.fakes import make_due, run_due


def kinds_of_events(order_id: UUID) -> list[str]:
    return list(OrderEvent.objects.filter(order_id=order_id).order_by("sequence").values_list("kind", flat=True))


def submit_job(order_id: UUID) -> Job:
    return Job.objects.get(kind="orders.submit", subject=order_id)


def client_id(order_id: UUID) -> str:
    return Order.objects.get(pk=order_id).client_order_id


def age(order_id: UUID, seconds: float = 60) -> None:
    """Let time pass since the order was sent."""
    Order.objects.filter(pk=order_id).update(sent_at=timezone.now() - timedelta(seconds=seconds))


def run_until_settled(most: int = 30) -> None:
    """Run the lane, waits skipped, until no job is ready."""
    for _ in range(most):
        make_due(lane="orders")
        if not run_due("orders"):
            return
    raise AssertionError("the lane never came to rest")
