"""Rows as the product writes them, for tests of what reads them."""

from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, Permission
from django.utils import timezone

from brokers.core.identifiers import uuid7
from brokers.core.orders import FINAL_STATES, OrderState
from brokers.models import Account, Broker, Order, OrderEvent, StreamSession
from reliability.core.jobs import AttemptOutcome, JobState
from reliability.models import Heartbeat, Job, JobAttempt, Lane

TEST_PASSWORD = "correct horse battery"
_numbers = count(1)


def make_user(*permissions: str, staff: bool = True, name: str = "") -> AbstractBaseUser:
    """Return a user with exactly these permissions, written as ``app.codename``."""
    user = get_user_model().objects.create_user(name or f"user{next(_numbers)}", password=TEST_PASSWORD, is_staff=staff)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def make_account(name: str = "desk", **values: Any) -> Account:
    broker, _ = Broker.objects.get_or_create(
        name=f"{name}-broker", defaults={"adapter": "alpaca", "base_url": "http://127.0.0.1:9"}
    )
    account = Account.objects.create(**{"name": name, "broker": broker, **values})
    StreamSession.objects.create(account=account, state="up", last_alive_at=timezone.now())
    return account


def make_order(account: Account, owner: AbstractBaseUser, **values: Any) -> Order:
    """Return an order in ``state`` (working unless told) with its first event."""
    number = next(_numbers)
    state = OrderState(values.get("state", OrderState.WORKING))
    facts = {
        "id": uuid7(),
        "account": account,
        "owner": owner,
        "idempotency_key": f"key-{number}",
        "request_hash": "0" * 64,
        "client_order_id": f"st-{number}",
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "day",
        "quantity": Decimal(10),
        "limit_price": Decimal("12.50"),
        "state": state,
        "submit_before": timezone.now() + timedelta(minutes=5),
        "finished_at": timezone.now() if state in FINAL_STATES else None,
    }
    order = Order.objects.create(**{**facts, **values})
    OrderEvent.objects.create(order=order, sequence=1, kind="accepted", to_state="accepted", source="api", actor="desk")
    return order


def make_job(**values: Any) -> Job:
    return Job.objects.create(**{"kind": "tests.unheard_of", "lane": "default", **values})


def make_dead_letter(**values: Any) -> Job:
    """Return a job that used up its attempts, with the attempt that ended it."""
    facts = {
        "state": JobState.DEAD,
        "attempt": 6,
        "error_code": "NETWORK_CONNECT_REFUSED",
        "error_message": "the broker's address refused the connection",
        "finished_at": timezone.now() - timedelta(minutes=3),
    }
    job = make_job(**{**facts, **values})
    JobAttempt.objects.create(
        job=job,
        attempt=6,
        fence=6,
        outcome=AttemptOutcome.DEAD,
        error_code=job.error_code,
        error_message="the last one",
    )
    return job


def make_process(name: str = "worker orders", **values: Any) -> Heartbeat:
    """Return a process; alive for the next minute unless told otherwise."""
    facts = {
        "pulse": next(_numbers),
        "kind": "worker",
        "name": name,
        "host": "desk1",
        "pid": 4711,
        "beat_at": timezone.now() + timedelta(minutes=1),
    }
    return Heartbeat.objects.create(**{**facts, **values})


def make_lanes() -> None:
    """Bring back the lanes that a migration makes: a test with its own transactions empties them."""
    for name in ("orders", "recovery", "market_data", "alerts", "default"):
        Lane.objects.get_or_create(name=name, defaults={"concurrency": 20})
