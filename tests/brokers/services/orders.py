"""The order that most tests send, and the shortest ways to send one, to look at it and to synchronize."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser

from brokers.models import Account, Order
from brokers.services.submission import AcceptedOrder, OrderSubmission, accept_order
from brokers.services.synchronization import want_sync
from tests.fakes import make_due, run_due

BODY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10"}


def submit(owner: AbstractBaseUser, key: str, **body: Any) -> AcceptedOrder:
    """Have an order accepted: ``BODY``, changed as told."""
    return accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(key, {**BODY, **body}))


def state(order_id: UUID) -> str:
    return Order.objects.get(pk=order_id).state


def sync(account: Account) -> None:
    """Synchronize as the schedule does, as often as the job asks for it."""
    want_sync({account.pk})
    for _ in range(10):
        make_due(lane="recovery")
        if not run_due("recovery"):
            return
